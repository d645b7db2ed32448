"""Build, Search and Blend over a real socket, against numpy."""

import concurrent.futures
import queue

import grpc
import numpy as np
import pytest

from conftest import (
    array_of,
    details_of,
    distances_of,
    exact,
    ids_of,
    pb,
    speech,
    to_frames,
)

STAGES = pb.BuildProgress.Stage


def rvc(frames, queries, ids, distances, rate):
    """RVC's formula in float64, exact matches sharing the weight."""
    distances = distances.astype("f8")
    nearest = distances.min(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(distances > 0, nearest / distances, 1.0) ** 2
    weight /= weight.sum(1, keepdims=True)
    mix = (frames[ids].astype("f8") * weight[:, :, None]).sum(1)
    rate = np.broadcast_to(np.asarray(rate, "f8"), len(queries))[:, None]
    return rate * mix + (1 - rate) * queries


@pytest.mark.parametrize("rows", [1, 2, 39, 1000, 6000])
def test_default_index_of_any_size_answers(server, rows):
    frames = speech(rows)
    version, progress = server.build(f"size-{rows}", frames)
    assert version.frames == version.frames_received == rows
    assert version.active and version.loaded
    assert version.storage == pb.ELEMENT_TYPE_FLOAT16
    assert version.index_factory.startswith("Flat" if rows < 4096 else "IVF")
    response = server.search(f"size-{rows}", frames[:50])
    assert (distances_of(response)[:, 0] == 0).all()
    found = min(rows, 8)
    assert (ids_of(response)[:, :found] >= 0).all()
    assert (ids_of(response)[:, found:] == -1).all()
    assert (
        distances_of(response)[:, found:] == np.finfo(np.float32).max
    ).all()


def test_every_stage_is_reported_and_fractions_never_fall(server):
    _, progress = server.build(
        "stages", speech(3000), index_factory="IVF64,PQ16x4fs,RFlat",
        reduce_to_centroids=500,
    )
    stages = [p.stage for p in progress]
    for stage in ("QUEUED", "REDUCING", "TRAINING", "ADDING", "PUBLISHING"):
        assert STAGES.Value(f"STAGE_{stage}") in stages
    fractions = [p.fraction for p in progress]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] and fractions[-1] <= 1


@pytest.mark.parametrize("dimension", [256, 768])
def test_flat_search_is_exact(server, dimension):
    frames = speech(500, dimension)
    queries = speech(60, dimension, seed=5)
    server.build(f"exact-{dimension}", frames, index_factory="Flat")
    response = server.search(f"exact-{dimension}", queries)
    ids, distances = exact(frames, queries)
    assert (ids_of(response) == ids).mean() > 0.999
    np.testing.assert_allclose(distances_of(response), distances, rtol=1e-5)
    assert response.effective.k == 8
    assert response.effective.nprobe == 1
    assert response.effective.k_factor == 1


@pytest.mark.parametrize("metric", ["INNER_PRODUCT", "COSINE"])
def test_other_metrics_are_exact(server, metric):
    frames = speech(400) * 1.1
    queries = speech(40, seed=5)
    server.build(
        f"metric-{metric.lower()}", frames, index_factory="IVF8,Flat",
        metric=pb.Metric.Value(f"METRIC_{metric}"),
    )
    response = server.search(
        f"metric-{metric.lower()}", queries, pb.SearchParams(nprobe=8)
    )
    a, b = queries.astype("f8"), frames.astype("f8")
    if metric == "COSINE":
        a /= np.linalg.norm(a, axis=1, keepdims=True)
        b /= np.linalg.norm(b, axis=1, keepdims=True)
    best = np.sort(a @ b.T, axis=1)[:, ::-1][:, :8]
    np.testing.assert_allclose(
        distances_of(response), best, rtol=1e-5, atol=1e-5
    )


def test_blend_is_rvcs_formula(server):
    frames = speech(2000, 64)
    queries = speech(200, 64, seed=5)
    server.build("rvc", frames, index_factory="IVF16,PQ32x4fs,RFlat")
    params = pb.SearchParams(nprobe=16, k_factor=10)
    found = server.search("rvc", queries, params)
    for rate in (0, 0.5, 0.75, 1):
        response = server.blend(
            "rvc", queries, pb.BlendParams(search=params, index_rate=rate)
        )
        expected = rvc(
            frames, queries, ids_of(found), distances_of(found), rate
        )
        np.testing.assert_allclose(
            array_of(response.frames), expected, rtol=1e-5, atol=1e-5
        )
        assert response.effective.index_rate == rate
        assert (response.mean_shift == 0) == (rate == 0)
    np.testing.assert_allclose(
        response.mean_distance, distances_of(found)[:, 0].mean(), rtol=1e-4
    )


def test_per_frame_rates_override_the_index_rate(server):
    frames = speech(300)
    queries = speech(20, seed=5)
    server.build("rates", frames, index_factory="Flat")
    rates = np.linspace(0, 1, 20, dtype="<f4")
    response = server.blend(
        "rates", queries, frame_index_rates=rates.tobytes()
    )
    found = server.search("rates", queries)
    expected = rvc(frames, queries, ids_of(found), distances_of(found), rates)
    np.testing.assert_allclose(
        array_of(response.frames), expected, rtol=1e-5, atol=1e-5
    )


def test_exact_matches_are_finite_and_come_back(server):
    frames = speech(300)
    server.build("match", frames, index_factory="Flat")
    response = server.blend("match", frames[:50], pb.BlendParams(index_rate=1))
    np.testing.assert_array_equal(array_of(response.frames), frames[:50])


def test_half_precision_wire_and_replies(server):
    frames = speech(300)
    queries = speech(20, seed=5)
    server.build("half", frames.astype("f2"), index_factory="Flat")
    full = server.blend("half", queries)
    half = server.blend("half", queries.astype("f2"))
    assert half.frames.element_type == pb.ELEMENT_TYPE_FLOAT16
    np.testing.assert_array_equal(
        array_of(half.frames), array_of(full.frames).astype("f2")
    )
    mixed = server.blend(
        "half", queries.astype("f2"),
        reply_element_type=pb.ELEMENT_TYPE_FLOAT32,
    )
    np.testing.assert_array_equal(
        array_of(mixed.frames), array_of(full.frames)
    )


def test_params_hold_until_they_are_replaced_as_a_whole(server):
    frames = speech(2000)
    server.build("params", frames, index_factory="IVF16,PQ16x4fs,RFlat")
    q = to_frames(frames[:3])
    requests = [
        pb.SearchRequest(speaker="params"),  # warms; no rows
        pb.SearchRequest(frames=q, params=pb.SearchParams(k=3, nprobe=2)),
        pb.SearchRequest(frames=q),
        pb.SearchRequest(speaker="params", version=1, frames=q,
                         params=pb.SearchParams(k_factor=2)),
        pb.SearchRequest(frames=pb.Frames()),
    ]
    warm, first, kept, replaced, empty = server.retrieval.Search(iter(requests))
    assert warm.neighbors.k == 8 and warm.neighbors.ids == b""
    assert warm.version == 1
    assert first.neighbors.k == 3 and first.effective.nprobe == 2
    assert kept.neighbors.k == 3 and not kept.HasField("effective")
    assert kept.neighbors.ids == first.neighbors.ids
    assert replaced.effective.k == 8 and replaced.effective.nprobe == 16
    assert replaced.effective.k_factor == 2
    assert empty.neighbors.ids == b""


def test_a_stream_keeps_the_version_that_it_began_with(server):
    frames = speech(100)
    server.build("pinned", frames, index_factory="Flat")
    requests = queue.Queue()
    stream = server.retrieval.Search(iter(requests.get, None))
    requests.put(pb.SearchRequest(speaker="pinned", frames=to_frames(frames)))
    before = next(stream)
    server.build("pinned", frames[::-1], index_factory="Flat")
    assert server.search("pinned", frames).version == 2
    server.catalog.DeleteVersion(
        pb.DeleteVersionRequest(speaker="pinned", version=1)
    )
    requests.put(pb.SearchRequest(frames=to_frames(frames)))
    after = next(stream)
    requests.put(None)
    assert before.version == after.version == 1
    assert before.neighbors == after.neighbors
    assert server.search("pinned", frames).version == 2


def test_64_streams_with_their_own_parameters_do_not_disturb_each_other(
    server,
):
    frames = speech(6000)
    server.build("many", frames, index_factory="IVF64,PQ16x4fs,RFlat")
    jobs = [
        (
            speech(5 + i % 7, seed=100 + i),
            pb.SearchParams(
                k=1 + i % 20, nprobe=1 + i % 64, k_factor=1 + i % 5
            ),
        )
        for i in range(64)
    ]

    def run(job):
        queries, params = job
        requests = [
            pb.SearchRequest(
                speaker="many", params=params, frames=to_frames(queries)
            )
        ] + [pb.SearchRequest(frames=to_frames(queries))] * 9
        responses = list(server.retrieval.Search(iter(requests)))
        assert len(responses) == 10
        assert len({r.neighbors.SerializeToString() for r in responses}) == 1
        return responses[0].neighbors.SerializeToString()

    alone = [run(job) for job in jobs]
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        together = list(pool.map(run, jobs * 4))
    assert together == alone * 4


def test_base_version_extends_a_voice(server):
    frames = speech(300)
    server.build("base", frames[:200], index_factory="Flat")
    version, _ = server.build(
        "base", frames[200:], index_factory="Flat", base_version=1
    )
    assert version.frames == 300
    found = server.search("base", frames)
    assert (distances_of(found)[:, 0] == 0).all()
    again, _ = server.build("base", frames[:0], base_version=2)
    assert again.frames == 300 and again.version == 3


def test_reduce_to_centroids(server):
    version, _ = server.build(
        "reduced", speech(2000), reduce_to_centroids=100
    )
    assert version.frames == 100 and version.frames_received == 2000
    assert ids_of(server.search("reduced", speech(50))).max() < 100
    whole, _ = server.build(
        "reduced", speech(200), reduce_to_centroids=100_000
    )
    assert whole.frames == 200


def test_request_id_builds_once(server):
    first, _ = server.build("once", speech(50), request_id="job 7")
    again, _ = server.build("once", speech(50), request_id="job 7")
    other, _ = server.build("once", speech(50), request_id="job 8")
    assert (first.version, again.version, other.version) == (1, 1, 2)


def test_storage_is_float16_where_it_loses_nothing(server):
    frames = speech(100)
    on_grid, _ = server.build("storage", frames)
    off_grid, _ = server.build("storage", frames * np.float32(1.001))
    forced, _ = server.build(
        "storage", frames * np.float32(1.001),
        storage=pb.ELEMENT_TYPE_FLOAT16,
    )
    kept, _ = server.build(
        "storage", frames, storage=pb.ELEMENT_TYPE_FLOAT32
    )
    assert [v.storage for v in (on_grid, off_grid, forced, kept)] == [
        pb.ELEMENT_TYPE_FLOAT16,
        pb.ELEMENT_TYPE_FLOAT32,
        pb.ELEMENT_TYPE_FLOAT16,
        pb.ELEMENT_TYPE_FLOAT32,
    ]


def test_too_many_lists_are_lowered_with_a_warning(server):
    version, _ = server.build(
        "lowered", speech(50), index_factory="IVF4096,PQ16x4fs,RFlat"
    )
    assert version.index_factory == "IVF50,PQ16x4fs,RFlat"
    assert "4096" in version.warnings[0]


def test_messages_up_to_the_limit_work_and_larger_ones_do_not(new_server):
    server = new_server("--max_message_bytes=1000000")
    server.build("big", speech(100, 256), index_factory="Flat")
    rows = 1_000_000 // 1024 - 1
    response = server.blend("big", speech(rows, 256))
    assert len(array_of(response.frames)) == rows
    with pytest.raises(grpc.RpcError) as error:
        server.blend("big", speech(rows + 10, 256))
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.RpcError) as error:
        server.build("big", speech(1000, 256), chunk=1000)
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.versions("big") == [1]


def test_a_64_mib_message(server):
    rows = (64 << 20) // (1024 * 4) - 1
    frames = np.tile(speech(1000, 1024), (rows // 1000 + 1, 1))[:rows]
    version, _ = server.build(
        "large", frames, chunk=rows, index_factory="Flat"
    )
    assert version.frames == rows


def test_the_first_error_comes_after_the_answers_before_it(server):
    frames = speech(100)
    server.build("order", frames, index_factory="Flat")
    requests = [
        pb.SearchRequest(speaker="order", frames=to_frames(frames[:2])),
        pb.SearchRequest(frames=to_frames(frames[2:4])),
        pb.SearchRequest(speaker="someone-else"),
        pb.SearchRequest(frames=to_frames(frames[:2])),
    ]
    stream = server.retrieval.Search(iter(requests))
    assert len(next(stream).neighbors.ids) == 2 * 8 * 8
    next(stream)
    with pytest.raises(grpc.RpcError) as error:
        next(stream)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert details_of(error.value)["fields"] == ["speaker"]


def test_initial_metadata_comes_before_the_first_request(server):
    requests = queue.Queue()
    stream = server.retrieval.Search(iter(requests.get, None))
    stream.initial_metadata()  # blocks until it is there
    requests.put(None)
    assert list(stream) == []

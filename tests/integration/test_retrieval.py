"""Build, Search and Blend over a real socket, against numpy."""

import numpy as np
import pytest

from conftest import array_of, distances_of, exact, ids_of, pb, speech

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
    assert version.index_factory.startswith("Flat" if rows < 2048 else "IVF")
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


def test_progress_comes_at_least_twice_a_second(server):
    _, progress = server.build(
        "paced", speech(60_000, 64), chunk=10_000,
        index_factory="IVF12000,PQ32x4fs,RFlat",
    )
    times = [p.elapsed.ToTimedelta().total_seconds() for p in progress]
    assert times[-1] > 1.5, "too short to tell"
    assert len(times) >= 2 * times[-1]
    # Half a second, and room for a machine that is busy otherwise.
    assert max(np.diff(times)) < 0.9


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


@pytest.mark.parametrize(
    "dimension,rows", [(2, 5000), (3, 5000), (7, 5000), (4096, 300)]
)
def test_unusual_dimensions_build_and_blend(server, dimension, rows):
    frames = speech(rows, dimension)
    queries = speech(40, dimension, seed=5) + np.float32(0.01)
    name = f"dimension-{dimension}"
    version, _ = server.build(name, frames)
    assert version.dimension == dimension
    params = pb.SearchParams(nprobe=2**20, k_factor=1000)
    found = server.search(name, queries, params)
    _, distances = exact(frames, queries)
    np.testing.assert_allclose(
        distances_of(found), distances, rtol=1e-4, atol=1e-5
    )
    response = server.blend(name, queries, pb.BlendParams(search=params))
    np.testing.assert_allclose(
        array_of(response.frames),
        rvc(frames, queries, ids_of(found), distances_of(found), 0.75),
        rtol=1e-5, atol=1e-4,
    )


def test_half_precision_refinement_ranks_rounded_frames(server):
    frames = speech(2000, 64) * np.float32(1.0007)  # off the float16 grid
    queries = speech(50, 64, seed=5)
    version, _ = server.build(
        "sqfp16", frames, index_factory="IVF16,PQ32x4fs,Refine(SQfp16)",
        storage=pb.ELEMENT_TYPE_FLOAT32,
    )
    assert version.index_factory == "IVF16,PQ32x4fs,Refine(SQfp16)"
    params = pb.SearchParams(nprobe=16, k_factor=100)
    found = server.search("sqfp16", queries, params)
    _, distances = exact(frames.astype("f2").astype("f4"), queries)
    np.testing.assert_allclose(distances_of(found), distances, rtol=1e-5)
    response = server.blend("sqfp16", queries, pb.BlendParams(search=params))
    # What is mixed are the frames as they were sent.
    np.testing.assert_allclose(
        array_of(response.frames),
        rvc(frames, queries, ids_of(found), distances_of(found), 0.75),
        rtol=1e-5, atol=1e-5,
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


def test_a_frame_is_answered_alike_in_messages_of_any_size(new_server):
    # Large messages are answered by all workers together.
    server = new_server("--worker_threads=4")
    server.build("alike", speech(3000, 64))
    queries = speech(4000, 64, seed=7)
    search = {"nprobe": 32, "k_factor": 8}
    params = pb.BlendParams(search=search, index_rate=0.75)
    whole = server.blend("alike", queries, params)
    found = server.search("alike", queries, pb.SearchParams(**search))
    for first in range(0, len(queries), 500):
        for rows in 1, 16:
            some = queries[first:first + rows]
            np.testing.assert_array_equal(
                array_of(server.blend("alike", some, params).frames),
                array_of(whole.frames)[first:first + rows],
            )
            np.testing.assert_array_equal(
                ids_of(server.search("alike", some, pb.SearchParams(**search))),
                ids_of(found)[first:first + rows],
            )
    again = server.blend("alike", queries, params)
    assert again.frames == whole.frames
    assert again.mean_distance == pytest.approx(whole.mean_distance, rel=1e-6)
    assert again.mean_shift == pytest.approx(whole.mean_shift, rel=1e-6)


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

"""Measured operating points: at Build, at Search and Blend, by Tune."""

import json
import subprocess

import grpc
import numpy as np
import pytest

from conftest import (
    BIN,
    build_requests,
    distances_of,
    ids_of,
    pb,
    speech,
    to_frames,
)
from refusal import INVALID, refused

FRAMES = speech(12_000, seed=1)
QUERIES = speech(600, seed=2) + np.float32(0.05)


def similarity(metric, frames, queries):
    """What is to be large, by the definition of the metric."""
    a, b = queries.astype("f8"), frames.astype("f8")
    if metric == pb.METRIC_COSINE:
        a = a / np.linalg.norm(a, axis=1, keepdims=True)
        b = b / np.linalg.norm(b, axis=1, keepdims=True)
    if metric == pb.METRIC_L2:
        return 2 * a @ b.T - (a**2).sum(1)[:, None] - (b**2).sum(1)
    return a @ b.T


def recall(metric, frames, queries, ids, k=8):
    """Share of the true k nearest that were found; ties count as found."""
    s = similarity(metric, frames, queries)
    last = -np.sort(-s, axis=1)[:, k - 1 : k]
    found = np.take_along_axis(s, ids, 1) >= last - 1e-5 * np.abs(last) - 1e-9
    return np.minimum(found.sum(1), k).mean() / k


def blend(frames, queries, ids, distances):
    """RVC's formula at rate 1."""
    weight = (1 / np.maximum(distances, 1e-9)) ** 2
    weight /= weight.sum(1, keepdims=True)
    return (frames[ids] * weight[..., None]).sum(1)


def tune(server, speaker, queries, chunk=250, **fields):
    def requests():
        first = fields
        for i in range(0, len(queries), chunk):
            yield pb.TuneRequest(
                speaker=speaker if i == 0 else "",
                frames=to_frames(queries[i : i + chunk]), **first,
            )
            first = {}

    return server.catalog.Tune(requests())


def check_curve(points):
    recalls = [p.recall for p in points]
    costs = [p.microseconds_per_frame for p in points]
    assert recalls == sorted(recalls) and len(set(recalls)) == len(recalls)
    assert costs == sorted(costs) and costs[0] > 0
    assert all(0 <= p.blend_error < 2 for p in points)


@pytest.fixture(scope="module")
def tuned(server):
    version, progress = server.build("tuned", FRAMES)
    stages = {p.stage for p in progress}
    assert pb.BuildProgress.STAGE_TUNING in stages
    return version


@pytest.mark.parametrize(
    "metric",
    [pb.METRIC_L2, pb.METRIC_INNER_PRODUCT, pb.METRIC_COSINE],
)
def test_builds_measure_a_curve_and_choose_by_it(server, metric):
    version, _ = server.build("curve", FRAMES, metric=metric)
    points = version.operating_points
    assert len(points) >= 4
    check_curve(points)
    cheapest = next(p for p in points if p.recall >= 0.95)
    assert version.defaults.nprobe == cheapest.nprobe
    assert version.defaults.k_factor == cheapest.k_factor
    assert version.warnings == []
    # On frames of another voice, against the definition.
    response = server.search("curve", QUERIES)
    assert response.effective.nprobe == cheapest.nprobe
    assert recall(metric, FRAMES, QUERIES, ids_of(response)) > 0.92


def test_the_same_seed_measures_the_same(server):
    def settings(seed):
        version, _ = server.build("again", FRAMES[:9000], seed=seed)
        return version.digest, [
            (p.nprobe, p.k_factor, p.recall, p.blend_error)
            for p in version.operating_points
        ]

    assert settings(5) == settings(5)
    assert settings(5) != settings(6)


@pytest.mark.parametrize("target", [0.5, 0.8, 0.99, 1])
def test_target_recall_picks_the_cheapest_point_that_reaches_it(
    server, tuned, target
):
    points = tuned.operating_points
    chosen = next((p for p in points if p.recall >= target), points[-1])
    params = pb.SearchParams(target_recall=target)
    effective = server.search("tuned", QUERIES[:9], params).effective
    assert effective.nprobe == chosen.nprobe
    assert effective.k_factor == chosen.k_factor
    assert effective.target_recall == chosen.recall
    blended = server.blend(
        "tuned", QUERIES[:9], pb.BlendParams(search=params)
    ).effective.search
    assert blended == effective


def test_points_are_measured_at_8_and_used_for_every_k(server, tuned):
    few = server.search(
        "tuned", QUERIES, pb.SearchParams(target_recall=0.95, k=1)
    )
    many = server.search("tuned", QUERIES, pb.SearchParams(target_recall=0.95))
    assert few.effective.nprobe == many.effective.nprobe
    # As many candidates, so the nearest is the same.
    np.testing.assert_array_equal(ids_of(few), ids_of(many)[:, :1])


def test_a_build_of_another_target_has_other_defaults(server, tuned):
    version, _ = server.build("lower", FRAMES, target_recall=0.6)
    lower = version.defaults
    assert lower.nprobe * lower.k_factor < (
        tuned.defaults.nprobe * tuned.defaults.k_factor
    )


def test_a_target_that_cannot_be_reached_is_told(server):
    version, _ = server.build(
        "hopeless", speech(12_000, 64), index_factory="IVF16,PQ1x4fs,RFlat",
        target_recall=0.999,
    )
    best = version.operating_points[-1]
    assert best.recall < 0.999
    assert version.defaults.nprobe == best.nprobe
    (warning,) = version.warnings
    assert warning.startswith("target_recall 0.999 was not reached")


@pytest.mark.parametrize("count", [1, 8, 39, 1000])
def test_small_voices_are_exact_and_say_so(server, count):
    version, _ = server.build(f"small-{count}", FRAMES[:count])
    assert version.index_factory == "Flat"
    (point,) = version.operating_points
    assert point.recall == 1 and point.blend_error == 0
    assert point.nprobe == 1 and point.k_factor == 1
    assert point.microseconds_per_frame > 0
    effective = server.search(
        f"small-{count}", QUERIES[:3], pb.SearchParams(target_recall=1)
    ).effective
    assert effective.target_recall == 1


@pytest.mark.parametrize(
    "count, factory",
    [
        (1, "IVF1,Flat"),
        (8, "IVF8,Flat"),
        (39, "IVF4,PQ16x4fs,RFlat"),
        (1000, "IVF1000,PQ32x4fs,Refine(SQfp16)"),
        (1000, "IVF30,Flat"),
    ],
)
def test_small_voices_with_lists_are_measured_too(server, count, factory):
    version, _ = server.build("listed", FRAMES[:count], index_factory=factory)
    check_curve(version.operating_points)
    assert version.defaults.nprobe <= int(factory[3:].split(",")[0])


def test_voices_of_one_frame_repeated(server):
    version, _ = server.build("same", np.repeat(FRAMES[:1], 11_000, 0))
    (point,) = version.operating_points
    assert point.recall == 1
    np.testing.assert_array_equal(
        distances_of(server.search("same", FRAMES[:1])), np.zeros((1, 8))
    )


def test_voices_that_are_mostly_silent(server):
    frames = FRAMES.copy()
    frames[np.random.default_rng(3).random(len(frames)) < 0.7] = 0
    version, _ = server.build("silent", frames)
    check_curve(version.operating_points)
    response = server.search("silent", QUERIES)
    assert recall(pb.METRIC_L2, frames, QUERIES, ids_of(response)) > 0.92


def test_tune_measures_what_searches_find(server, tuned):
    result = tune(server, "tuned", QUERIES)
    assert result.frames == len(QUERIES) and result.version == 1
    check_curve(result.operating_points)
    truth = np.argsort(
        -similarity(pb.METRIC_L2, FRAMES, QUERIES), 1, kind="stable"
    )[:, :8]
    true_distances = -np.take_along_axis(
        similarity(pb.METRIC_L2, FRAMES, QUERIES), truth, 1
    )
    exact_blend = blend(FRAMES, QUERIES, truth, true_distances)
    for point in result.operating_points[::3]:
        response = server.search(
            "tuned", QUERIES,
            pb.SearchParams(nprobe=point.nprobe, k_factor=point.k_factor),
        )
        ids = ids_of(response)
        assert point.recall == pytest.approx(
            recall(pb.METRIC_L2, FRAMES, QUERIES, ids), abs=0.002
        )
        error = np.linalg.norm(
            blend(FRAMES, QUERIES, ids, distances_of(response)) - exact_blend,
            axis=1,
        ) / np.linalg.norm(exact_blend, axis=1)
        assert point.blend_error == pytest.approx(error.mean(), abs=0.003)
    assert result.exact.recall == 1 and result.exact.nprobe == 0
    assert result.exact.microseconds_per_frame > 0
    assert result.one_list.nprobe == 1
    assert 0 < result.one_list.recall < 1


def test_tune_at_another_k(server, tuned):
    result = tune(server, "tuned", QUERIES, k=1, target_recall=0.9)
    assert result.chosen.k == 1
    assert result.chosen.target_recall >= 0.9
    response = server.search(
        "tuned", QUERIES,
        pb.SearchParams(
            k=1, nprobe=result.chosen.nprobe, k_factor=result.chosen.k_factor
        ),
    )
    found = recall(pb.METRIC_L2, FRAMES, QUERIES, ids_of(response), k=1)
    assert found == pytest.approx(result.chosen.target_recall, abs=0.002)


def test_applied_tunings_last_and_leave_open_streams_alone(new_server):
    server = new_server()
    built, _ = server.build("kept", FRAMES)
    requests = [pb.SearchRequest(speaker="kept", frames=to_frames(QUERIES[:5]))]

    def stream():
        yield requests[0]
        tune(server, "kept", QUERIES, target_recall=0.6, apply=True)
        yield pb.SearchRequest(
            frames=to_frames(QUERIES[:5]), params=pb.SearchParams()
        )

    before, after = server.retrieval.Search(stream())
    assert before.effective.nprobe == built.defaults.nprobe
    assert after.neighbors == before.neighbors
    # New streams have the new defaults, now and after a restart.
    for _ in range(2):
        (version,) = server.catalog.GetSpeaker(
            pb.GetSpeakerRequest(speaker="kept")
        ).versions
        assert version.digest == built.digest
        chosen = next(p for p in version.operating_points if p.recall >= 0.6)
        assert version.defaults.nprobe == chosen.nprobe
        effective = server.search("kept", QUERIES[:5]).effective
        assert effective.nprobe == chosen.nprobe < built.defaults.nprobe
        assert effective.k_factor == chosen.k_factor
        server.stop()
        server.start()
    # A damaged file costs the tuning, not the version.
    server.stop()
    path = server.directory / "data/speakers/kept/1/tuning.json"
    path.write_text(path.read_text().replace('"default_nprobe"', '"x'))
    server.start()
    (version,) = server.catalog.GetSpeaker(
        pb.GetSpeakerRequest(speaker="kept")
    ).versions
    assert version.defaults.nprobe == built.defaults.nprobe
    assert "tuning.json" in version.warnings[0]
    tune(server, "kept", QUERIES, apply=True)
    (version,) = server.catalog.GetSpeaker(
        pb.GetSpeakerRequest(speaker="kept")
    ).versions
    assert version.warnings == []


def test_bad_tunings(server, tuned):
    frames = to_frames(QUERIES[:10])
    nan = QUERIES[:10].copy()
    nan[3, 4] = np.nan
    cases = [
        ([], "speaker"),
        ([pb.TuneRequest(speaker="tuned")], "frames"),
        ([pb.TuneRequest(speaker="tuned", k=1025)], "k"),
        ([pb.TuneRequest(speaker="tuned", k=9, apply=True)], "k"),
        ([pb.TuneRequest(speaker="tuned", target_recall=-1)], "target_recall"),
        (
            [
                pb.TuneRequest(speaker="tuned", frames=frames),
                pb.TuneRequest(speaker="other", frames=frames),
            ],
            "speaker",
        ),
        ([pb.TuneRequest(speaker="tuned", frames=to_frames(nan))], "frames.data"),
        (
            [pb.TuneRequest(speaker="tuned", frames=to_frames(speech(3, 16)))],
            "frames.dimension",
        ),
    ]
    for requests, field in cases:
        with pytest.raises(grpc.RpcError) as caught:
            server.catalog.Tune(iter(requests))
        assert caught.value.code() == INVALID, (requests, caught.value)
        assert caught.value.details().startswith(field), caught.value
    many = to_frames(np.repeat(QUERIES[:1], 50_001, 0))
    with pytest.raises(grpc.RpcError) as caught:
        server.catalog.Tune(
            iter([pb.TuneRequest(speaker="tuned", frames=many)] * 2)
        )
    assert "100002 frames" in caught.value.details()
    with pytest.raises(grpc.RpcError) as caught:
        tune(server, "nobody", QUERIES)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_cancelled_tune_leaves_nothing(server, tuned):
    call = server.catalog.Tune.future(
        iter(
            [
                pb.TuneRequest(
                    speaker="tuned", apply=True,
                    frames=to_frames(np.tile(QUERIES, (100, 1))),
                )
            ]
        )
    )
    call.cancel()
    assert call.cancelled()
    assert tune(server, "tuned", QUERIES[:50]).frames == 50
    (version,) = server.catalog.GetSpeaker(
        pb.GetSpeakerRequest(speaker="tuned")
    ).versions
    assert version.operating_points == tuned.operating_points


def test_lists_of_speakers_come_without_points(server, tuned):
    page = server.catalog.ListSpeakers(pb.ListSpeakersRequest(prefix="tuned"))
    (speaker,) = page.speakers
    assert speaker.versions[0].defaults == tuned.defaults
    assert len(speaker.versions[0].operating_points) == 0


@pytest.mark.parametrize("metric", [pb.METRIC_L2, pb.METRIC_COSINE])
def test_database_expansion_is_the_mean_of_the_nearest_rows(server, metric):
    frames = speech(700, seed=4)
    version, _ = server.build(
        "expanded", frames, metric=metric, database_expansion_k=5,
        database_expansion_alpha=2, storage=pb.ELEMENT_TYPE_FLOAT32,
    )
    assert version.frames == 700
    (stored,) = server.catalog.ReadFrames(
        pb.ReadFramesRequest(speaker="expanded")
    )
    stored = np.frombuffer(stored.frames.data, "<f4").reshape(-1, 32)
    s = similarity(metric, frames, frames)
    near = np.argsort(-s, 1, kind="stable")[:, :5]
    x = frames.astype("f8")
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    weight = np.maximum(0, (unit[near] * unit[:, None]).sum(-1)) ** 2
    weight /= weight.sum(1, keepdims=True)
    expected = (x[near] * weight[..., None]).sum(1)
    # Ties may be broken otherwise where rows are equal.
    close = np.isclose(stored, expected, rtol=1e-4, atol=1e-4).all(1)
    assert close.mean() > 0.99


def test_tuning_from_the_command_line(server, tuned, tmp_path):
    np.save(tmp_path / "q.npy", QUERIES)
    page = tmp_path / "page.html"

    def run(*more):
        return subprocess.run(
            [BIN / "timbre", "tune", "tuned", tmp_path / "q.npy",
             f"--server={server.address}", *more],
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout

    text = run(f"--html={page}", "--target_recall=0.8")
    assert "<- chosen" in text and "exact search" in text
    html = page.read_text()
    assert html.count("<svg") == 2 and "as RVC" in html
    result = json.loads(run("--json"))
    assert result["frames"] == len(QUERIES)
    assert result["operating_points"][0]["nprobe"] == 1

"""Measured operating points: at Build, and used at Search and Blend."""

import numpy as np
import pytest

from conftest import distances_of, ids_of, pb, speech
from tuning import (  # noqa: F401
    FRAMES,
    QUERIES,
    check_curve,
    recall,
    similarity,
    tuned,
)


@pytest.mark.parametrize(
    "metric",
    [pb.METRIC_L2, pb.METRIC_INNER_PRODUCT, pb.METRIC_COSINE],
)
def test_builds_measure_a_curve_and_choose_by_it(server, metric):
    version, progress = server.build("curve", FRAMES, metric=metric)
    stages = {p.stage for p in progress}
    assert pb.BuildProgress.STAGE_TUNING in stages
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

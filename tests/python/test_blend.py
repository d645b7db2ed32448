"""Blend against RVC's formula in plain numpy."""

import pickle

import numpy as np
import pytest
import timbre
from conftest import DIMENSION, exact, rvc, speech

ALL = {"nprobe": 16, "k_factor": 1000}  # exact search


def by_numpy(frames, queries, rate, k=8):
    ids, distances = exact(frames, queries, k)
    return rvc(queries, frames, distances, ids, rate)


@pytest.mark.parametrize("rate", [0.75, 1.0, 0.1])
def test_blend_is_rvcs_formula_in_float32(voice, alice, queries, rate):
    ours = voice.blend(queries, rate, **ALL)
    assert ours.dtype == np.float32 and ours.shape == queries.shape
    theirs = by_numpy(alice, queries, rate)
    assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_blend_is_rvcs_formula_in_float16(voice, alice, queries):
    half = queries.astype("f2")
    ours = voice.blend(half, **ALL)
    assert ours.dtype == np.float16
    theirs = by_numpy(alice, half.astype("f4"), 0.75)
    assert np.allclose(ours, theirs, rtol=2e-3, atol=2e-3)


def test_k_of_one_takes_the_nearest_frame(voice, alice, queries):
    ids, _ = exact(alice, queries, 1)
    ours = voice.blend(queries, 1.0, k=1, **ALL)
    assert np.allclose(ours, alice[ids[:, 0]], atol=1e-6)


def test_exact_duplicates_give_the_frame_and_no_nan(voice, alice):
    duplicates = alice[(alice == alice[0]).all(axis=1)]
    x = np.concatenate([alice[:5], duplicates[:5]])
    out = voice.blend(x, 1.0)
    assert np.isfinite(out).all()
    assert np.allclose(out, x, atol=1e-6)


def test_a_rate_per_frame_overrides(voice, queries):
    rates = np.linspace(0, 1, len(queries))
    ours = voice.blend(queries, rates)
    for i in (0, 100, len(queries) - 1):
        one = voice.blend(queries[i], float(rates[i]))
        assert np.allclose(ours[i], one, rtol=1e-5, atol=1e-5)


def test_voiceless_voices_with_fewer_frames_than_k(client):
    rows = speech(5, DIMENSION, seed=3)
    client.build("tiny", rows)
    queries = speech(20, DIMENSION, seed=4)
    with client.speaker("tiny") as tiny:
        ours = tiny.blend(queries, 1.0)
        distances, ids = tiny.search(queries)
    assert (ids[:, 5:] == -1).all() and (ids[:, :5] >= 0).all()
    assert (distances[:, 5:] == np.finfo("f4").max).all()
    assert np.allclose(ours, by_numpy(rows, queries, 1, 5), atol=1e-4)


def test_768_dimensions(client):
    rows = speech(2000, 768, seed=5)
    client.build("wide", rows)
    queries = speech(50, 768, seed=6)
    with client.speaker("wide", dimension=768) as wide:
        ours = wide.blend(queries, 0.5, nprobe=10_000, k_factor=1000)
    assert np.allclose(
        ours, by_numpy(rows, queries, 0.5), rtol=1e-4, atol=1e-3
    )


def test_one_frame_without_a_batch_axis(voice, queries):
    assert voice.blend(queries[7]).shape == (DIMENSION,)


def test_no_frames_make_no_rows(voice):
    assert voice.blend(np.zeros((0, DIMENSION), "f4")).shape == (0, DIMENSION)
    distances, ids = voice.search(np.zeros((0, DIMENSION), "f4"))
    assert distances.shape == ids.shape == (0, 8)


def test_100000_frames_are_cut_and_come_back_in_order(voice, queries):
    many = np.tile(queries, (250, 1))
    out = voice.blend(many)
    assert np.array_equal(out, np.tile(voice.blend(queries), (250, 1)))


def test_every_leading_shape_comes_back(voice, queries):
    x = queries[:60].reshape(1, 3, 20, DIMENSION)
    assert voice.blend(x).shape == x.shape
    assert np.array_equal(
        voice.blend(x).reshape(-1, DIMENSION), voice.blend(queries[:60])
    )


def test_the_result_is_writable_and_the_input_untouched(voice, queries):
    before = queries.copy()
    out = voice.blend(queries)
    out += 1
    assert np.array_equal(queries, before)


def test_rate_zero_makes_no_call(new_server, alice):
    server = new_server()
    with timbre.Client(server.address) as client:
        client.build("gone", alice)
        voice = client.speaker("gone")
        server.stop()
        for rate in (0, 0.0, np.zeros(5)):
            out = voice.blend(alice[:5], rate)
            assert np.array_equal(out, alice[:5]) and out is not alice


def test_info_says_how_it_was_done(voice, queries):
    _, info = voice.blend(queries, nprobe=3, k_factor=2, k=4, info=True)
    assert (info.nprobe, info.k_factor, info.k) == (3, 2.0, 4)
    assert info.version == voice.version
    assert info.mean_distance > 0 and 0 < info.mean_shift < 2
    assert info.degradation == "" and not info.late


def test_bad_frames_raise_before_anything_is_sent(voice, queries):
    x = queries.copy()
    x[3, 5] = np.nan
    with pytest.raises(timbre.BadFrame, match="frames 3 hold") as caught:
        voice.blend(x)
    assert caught.value.rows == [3] and caught.value.field == "frames"
    copied = pickle.loads(pickle.dumps(caught.value))  # as multiprocessing does
    assert copied.rows == [3] and str(copied) == str(caught.value)
    assert np.isfinite(voice.blend(queries)).all()


def test_bad_frames_pass_and_the_others_are_mixed(voice, queries):
    x = queries.copy()
    x[[3, 100], 5] = np.nan, np.inf
    out = voice.blend(x, np.full(len(x), 0.75), on_bad_frame="source")
    rest = np.delete(np.arange(len(x)), [3, 100])
    assert np.array_equal(out[[3, 100]], x[[3, 100]], equal_nan=True)
    assert np.allclose(out[rest], voice.blend(queries)[rest], atol=1e-6)
    distances, ids = voice.search(x, on_bad_frame="source")
    assert (ids[3] == -1).all() and (ids[4] >= 0).all()
    x[:] = np.nan
    assert np.isnan(voice.blend(x, on_bad_frame="source")).all()


@pytest.mark.parametrize(
    "options, field",
    [
        ({"rate": 1.5}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"rate": None}, "rate"),
        ({"rate": "0.5"}, "rate"),
        ({"rate": np.ones(3)}, "rate"),
        ({"k": 0.5}, "k"),
        ({"k": -1}, "k"),
        ({"k": 5000}, "params.search.k"),
        ({"k_factor": 0.25}, "params.search.k_factor"),
        ({"weighting": "loudest"}, "weighting"),
        ({"on_late": "never"}, "on_late"),
        ({"on_bad_frame": "fix"}, "on_bad_frame"),
        ({"latency_budget_s": 0.0}, "latency_budget_s"),
    ],
)
def test_bad_arguments_name_the_field(voice, queries, options, field):
    with pytest.raises(timbre.InvalidArgument) as caught:
        voice.blend(queries, **options)
    assert caught.value.field == field
    assert voice.blend(queries[:2]).shape == (2, DIMENSION)


def test_a_bool_of_weightings(voice, queries, alice):
    uniform = voice.blend(queries, 1.0, weighting="uniform", **ALL)
    ids, _ = exact(alice, queries)
    assert np.allclose(uniform, alice[ids].mean(axis=1), atol=1e-4)

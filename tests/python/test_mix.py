"""Several voices mixed into one."""

import numpy as np
import pytest
import timbre
from conftest import DIMENSION, speech

ALL = {"nprobe": 10_000, "k_factor": 1000}


@pytest.fixture(scope="module")
def names(client):
    for i, name in enumerate(("mix-a", "mix-b")):
        client.build(name, speech(900, DIMENSION, seed=80 + i) + np.float32(i))
    return "mix-a", "mix-b"


def test_a_mix_is_the_weighted_sum(client, names, queries):
    a, b = (client.speaker(name).blend(queries, 1.0, **ALL) for name in names)
    with client.mix({"mix-a": 0.7, "mix-b": 0.3}) as mix:
        out, info = mix.blend(queries, 0.5, info=True, **ALL)
        assert mix.versions == {"mix-a": 1, "mix-b": 1}
    expected = 0.5 * (0.7 * a + 0.3 * b) + 0.5 * queries
    assert np.allclose(out, expected, rtol=1e-5, atol=1e-5)
    assert info.version == 0 and info.mean_shift > 0


def test_weights_change_from_call_to_call(client, names, queries):
    a, b = (client.speaker(name).blend(queries, 1.0, **ALL) for name in names)
    mix = client.mix({"mix-a": 1, "mix-b": 1})
    for weights, expected in (
        ({"mix-a": 2}, a),
        ({"mix-b": 1}, b),
        ({"mix-b": 0, "mix-a": 1}, a),
        (None, (a + b) / 2),
    ):
        out = mix.blend(queries, 1.0, weights=weights, **ALL)
        assert np.allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_a_mix_takes_what_a_voice_takes(client, names, queries):
    mix = client.mix({"mix-a": 1, "mix-b": 1})
    half = queries[:6].astype("f2").reshape(1, 6, DIMENSION)
    out = mix.blend(half, np.linspace(0, 1, 6), latency_budget_s=5.0)
    assert out.dtype == np.float16 and out.shape == half.shape
    assert np.array_equal(out[0, 0], half[0, 0])


@pytest.mark.parametrize(
    "weights", [{}, {"mix-a": -1}, {"mix-a": 0}, {"mix-a": float("nan")}]
)
def test_bad_weights_are_refused(client, names, weights):
    with pytest.raises(timbre.InvalidArgument):
        client.mix(weights)


def test_weights_of_another_voice_are_refused(client, names, queries):
    mix = client.mix({"mix-a": 1})
    with pytest.raises(timbre.InvalidArgument, match="mix-b is not one of"):
        mix.blend(queries, weights={"mix-b": 1})


def test_voices_of_different_dimensions_are_refused(client, names):
    client.build("mix-wide", speech(100, 2 * DIMENSION))
    with pytest.raises(timbre.InvalidArgument, match="mix-wide: 64"):
        client.mix({"mix-a": 1, "mix-wide": 1})

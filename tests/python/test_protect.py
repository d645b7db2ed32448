"""RVC's `protect`, at 100 Hz on repeated frames, and per-frame rates instead.

doc/workers.md quotes what the last test prints (pytest -s).
"""

import numpy as np
import pytest

RATE, PROTECT = 0.75, 0.33


@pytest.fixture(scope="module")
def voiced():
    """Voiced or not, at 100 Hz, in stretches of 60 to 300 ms."""
    random = np.random.default_rng(5)
    stretches = random.integers(6, 31, 100)
    flags = np.repeat(np.arange(100) % 2 == 0, stretches)
    return flags[:800]


def protected(frames, mixed, voiced):
    """RVC's lines: repeat both, keep more of the frame where unvoiced."""
    feats, feats0 = np.repeat(mixed, 2, 0), np.repeat(frames, 2, 0)
    pitchff = np.where(voiced, 1, PROTECT)[:, None]
    return feats * pitchff + feats0 * (1 - pitchff)


def test_protect_stays_exact_on_what_blend_returns(voice, queries, voiced):
    mixed = voice.blend(queries, RATE)
    out = protected(queries, mixed, voiced)
    whole = voice.blend(queries, 1.0)
    r = RATE * np.where(voiced, 1, PROTECT)[:, None]
    f, m = np.repeat(queries, 2, 0), np.repeat(whole, 2, 0)
    assert np.allclose(out, f + r * (m - f), rtol=1e-4, atol=1e-4)


def test_rates_per_frame_are_protect_but_at_the_edges(voice, queries, voiced):
    exact = protected(queries, voice.blend(queries, RATE), voiced)
    halves = RATE * np.where(voiced, 1, PROTECT).reshape(-1, 2)
    out = np.repeat(voice.blend(queries, halves.mean(axis=1)), 2, 0)
    errors = np.linalg.norm(out - exact, axis=1) / np.linalg.norm(
        exact, axis=1
    )
    edge = np.repeat(halves[:, 0] != halves[:, 1], 2)
    assert errors[~edge].max() < 1e-5
    assert 0 < errors[edge].mean() < 0.25
    print(
        f"\nedges: {edge.mean():.1%} of the 100 Hz frames, off by"
        f" {errors[edge].mean():.1%}; over all {errors.mean():.2%}"
    )

"""Features like those of speech, and the truth about them."""

import numpy as np


def speech(frames, dimension=32, seed=0):
    """Clustered frames on the float16 grid, with drift and duplicates."""
    random = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(size=(40, dimension)) * 2
    phones = np.repeat(random.integers(0, 40, frames // 8 + 1), 8)[:frames]
    x = centers[phones] + random.normal(size=(frames, dimension)) * 0.4
    x[phones == 0] = centers[0]
    return x.astype("f2").astype("f4")


def exact(frames, queries, k=8):
    """Ids and squared L2 distances of exact search, in double precision."""
    a = queries.astype("f8")
    b = frames.astype("f8")
    d = ((a[:, None] - b[None]) ** 2).sum(-1)
    order = np.argsort(d, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(d, order, 1)

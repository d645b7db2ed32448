"""What tests of tuning share: a voice, queries of another, and the truth."""

import numpy as np
import pytest

from conftest import pb, speech, to_frames

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
    """Built once, for whichever file of tests comes first."""
    version, _ = server.build("tuned", FRAMES, request_id="tuned")
    return version

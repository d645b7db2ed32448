"""Code that was written for faiss runs on a remote index."""

import numpy as np
import pytest
import timbre
from conftest import exact


@pytest.fixture
def index(client, alice):
    made = timbre.compat.faiss_index("alice", client)
    made.nprobe = 16
    return made


def rvc_pipeline(npy, index, big_npy, index_rate):
    """The lines of RVC's pipeline, as they are there."""
    score, ix = index.search(npy, k=8)
    weight = np.square(1 / score)
    weight /= weight.sum(axis=1, keepdims=True)
    mixed = np.sum(big_npy[ix] * np.expand_dims(weight, axis=2), axis=1)
    return mixed * index_rate + (1 - index_rate) * npy


def test_rvcs_lines_run_unchanged(index, alice, voice, queries):
    big_npy = index.reconstruct_n(0, index.ntotal)
    assert big_npy.dtype == np.float32 and np.array_equal(big_npy, alice)
    old = rvc_pipeline(queries, index, big_npy, 0.75)
    new = voice.blend(queries, 0.75, nprobe=16)
    assert np.allclose(old, new, rtol=1e-4, atol=1e-4)


def test_rvcs_lines_make_no_nan_of_exact_matches(index, alice):
    big_npy = index.reconstruct_n(0, index.ntotal)
    with np.errstate(all="raise", under="ignore"):
        out = rvc_pipeline(alice[:50], index, big_npy, 1.0)
    assert np.allclose(out, alice[:50], atol=1e-5)


def test_it_has_what_workers_look_at(index, alice):
    assert bool(index) and index.is_trained
    assert (index.ntotal, index.d) == alice.shape
    assert np.array_equal(index.reconstruct(5), alice[5])
    assert np.array_equal(index.reconstruct_n(10, 20), alice[10:30])
    assert index.reconstruct_n(3, 0).shape == (0, alice.shape[1])


def test_rows_are_the_callers_own(index, alice):
    index.reconstruct_n(0, index.ntotal)[:] = 0
    assert np.array_equal(index.reconstruct_n(0, index.ntotal), alice)


def test_rows_out_of_range_are_an_index_error(index):
    for first, count in ((-1, 2), (0, index.ntotal + 1), (5, -3)):
        with pytest.raises(IndexError):
            index.reconstruct_n(first, count)
    with pytest.raises(IndexError):
        index.reconstruct(index.ntotal)


def test_nprobe_is_private_to_the_object(client):
    rows = np.random.default_rng(1).normal(size=(2000, 16)).astype("f4")
    queries = np.random.default_rng(2).normal(size=(100, 16)).astype("f4")
    client.build("noise", rows, index_factory="IVF16,Flat")
    one = timbre.compat.faiss_index("noise", client)
    other = timbre.compat.faiss_index("noise", client)
    one.nprobe, other.nprobe = 1, 16
    truth, _ = exact(rows, queries)
    assert np.mean(other.search(queries, 8)[1] == truth) > 0.99
    assert np.mean(one.search(queries, 8)[1] == truth) < 0.9
    assert one.nprobe == 1


def test_ids_ntotal_and_rows_stay_together_across_builds(client, alice):
    client.build("pinned", alice)
    index = timbre.compat.faiss_index("pinned", client)
    client.build("pinned", alice[:100])
    assert index.ntotal == len(alice)
    _, ids = index.search(alice[-8:], 1)
    assert np.array_equal(index.reconstruct_n(0, index.ntotal), alice)
    assert np.array_equal(alice[ids[:, 0]], alice[-8:])


def test_search_parameters_of_faiss_are_not_ignored_silently(index, queries):
    with pytest.raises(timbre.InvalidArgument, match="params"):
        index.search(queries, 8, params=object())
    with pytest.raises(TypeError):
        index.search(queries, 8, nprobes=3)
    index.search(queries, 8, params=None)

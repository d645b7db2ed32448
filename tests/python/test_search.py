"""Search against exact search."""

import numpy as np
import pytest
import timbre
from conftest import exact


def test_search_answers_as_faiss_does(voice, alice, queries):
    distances, ids = voice.search(queries, k=8, nprobe=16, k_factor=1000)
    assert distances.dtype == np.float32 and ids.dtype == np.int64
    true_ids, true_distances = exact(alice, queries)
    assert np.allclose(distances, true_distances, rtol=1e-4, atol=1e-4)
    assert np.mean(ids == true_ids) > 0.99  # ties apart


def test_large_k_is_cut_into_messages_that_the_server_takes(voice, queries):
    distances, ids = voice.search(np.tile(queries, (10, 1)), k=1024)
    assert ids.shape == (4000, 1024)
    assert np.array_equal(ids[:400], ids[400:800])


def test_inner_product_has_the_largest_first(client, queries, alice):
    client.build("inner", alice, metric="inner_product")
    with client.speaker("inner") as voice:
        found, ids = voice.search(queries, nprobe=10_000, k_factor=1000)
    truth = -np.sort(-(queries @ alice.T), axis=1)[:, :8]
    assert np.allclose(found, truth, rtol=1e-4)


def test_info_says_how_it_was_done(voice, queries):
    _, _, info = voice.search(queries, nprobe=2, info=True)
    assert info.nprobe == 2 and info.version == voice.version


def test_stored_frames_come_back(voice, alice):
    assert np.array_equal(voice.frames(), alice)
    assert np.array_equal(voice.frames(10, 5), alice[10:15])
    assert np.array_equal(voice.frames(ids=[7, 3, 7]), alice[[7, 3, 7]])
    assert voice.frames(dtype="f2").dtype == np.float16
    assert voice.frames(ids=[]).shape == (0, alice.shape[1])
    with pytest.raises(timbre.InvalidArgument):
        voice.frames(ids=[1], first_id=2)

"""More work than there are threads for: who waits, and who is refused."""

import threading

import grpc
import numpy as np
import pytest

from conftest import (
    Server, details_of, ids_of, pb, speech, to_frames, wait_for,
)
from ops import queued_frames

ROWS = 30_000
LARGE = 3_000  # against ROWS frames exactly: some seconds on one thread


@pytest.fixture(scope="module")
def busy_server(tmp_path_factory):
    server = Server(
        tmp_path_factory.mktemp("busy"), "--worker_threads=1",
        "--max_queued_frames=4000",
    )
    server.start()
    server.build("slow", speech(ROWS, 256), index_factory="Flat")
    yield server
    assert server.stop() == 0


def start_large(server):
    """A large search under way: its stream of one answer."""
    request = pb.SearchRequest(
        speaker="slow", frames=to_frames(speech(LARGE, 256, seed=5))
    )
    call = server.retrieval.Search(iter([request]))
    wait_for(lambda: queued_frames(server) >= LARGE)
    return call


def test_a_small_message_passes_a_large_one(busy_server):
    large = start_large(busy_server)
    frames = speech(16, 256, seed=7)
    small = [busy_server.search("slow", frames) for _ in range(3)]
    # The large one was there first, on the only thread, and is not done.
    assert queued_frames(busy_server) >= LARGE
    (answer,) = large
    assert ids_of(answer).shape == (LARGE, 8)
    again = busy_server.search("slow", frames)
    alone = busy_server.search("slow", speech(LARGE, 256, seed=5))
    for response in small:
        assert response.neighbors.ids == again.neighbors.ids
    # What passed disturbed nothing.
    assert answer.neighbors.ids == alone.neighbors.ids
    assert answer.neighbors.distances == alone.neighbors.distances


def test_the_newest_message_is_refused_when_too_much_waits(busy_server):
    large = start_large(busy_server)
    with pytest.raises(grpc.RpcError) as error:
        busy_server.search("slow", speech(2_000, 256))
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    details = details_of(error.value)
    assert details["reason"] == "OVERLOADED"
    assert details["retry"].total_seconds() > 0
    (answer,) = large
    assert ids_of(answer).shape == (LARGE, 8)
    wait_for(lambda: queued_frames(busy_server) == 0)
    busy_server.search("slow", speech(500, 256))


def test_work_of_clients_that_are_gone_is_not_done(busy_server):
    large = start_large(busy_server)
    large.cancel()
    # Long before it would have been answered.
    wait_for(lambda: queued_frames(busy_server) == 0)
    busy_server.search("slow", speech(3, 256))


def test_a_flood_is_answered_or_refused_and_leaves_nothing(busy_server):
    frames = speech(300, 256, seed=9)
    expected = ids_of(busy_server.search("slow", frames))
    outcomes = []

    def one():
        try:
            found = ids_of(busy_server.search("slow", frames))
            outcomes.append(np.array_equal(found, expected))
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            outcomes.append(None)

    threads = [threading.Thread(target=one) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 60
    assert False not in outcomes
    assert True in outcomes and None in outcomes
    wait_for(lambda: queued_frames(busy_server) == 0)

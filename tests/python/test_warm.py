"""Voices that are opened before somebody waits for them."""

import pytest
import timbre
from conftest import DIMENSION, speech, wait_for


@pytest.fixture
def restarted(new_server):
    """A server with two versions of a voice, none of them open."""
    server = new_server()
    with timbre.Client(server.address) as client:
        for seed in (1, 2):
            client.build("cold", speech(500, DIMENSION, seed))
    server.stop()
    return server.start()


def loaded(client):
    return [v.loaded for v in client.get_speaker("cold").versions]


def test_warm_opens_the_active_version_or_that_one(restarted):
    with timbre.Client(restarted.address) as client:
        assert loaded(client) == [False, False]
        assert client.warm("cold") == 2
        assert loaded(client) == [False, True]
        assert client.warm("cold", version=1) == 1


def test_warm_keeps_no_stream(restarted):
    """What is not held by a stream can be deleted and closed."""
    with timbre.Client(restarted.address) as client:
        client.warm("cold", version=1)
        assert not client._connection.idle
        client.delete_version("cold", 1)
        wait_for(lambda: len(client.get_speaker("cold").versions) == 1)


def test_warm_says_what_is_not_there(client, alice):
    with pytest.raises(timbre.NotFound):
        client.warm("nobody")
    with pytest.raises(timbre.NotFound):
        client.warm("alice", version=99)
    with pytest.raises(timbre.InvalidArgument):
        client.warm("alice", version=-1)
    with pytest.raises(timbre.InvalidArgument):
        client.warm("Alice")


def test_server_info_has_what_a_server_holds(client, alice):
    info = client.server_info()
    for value in (
        info.resident_bytes,
        info.max_resident_bytes,
        info.open_versions,
    ):
        assert isinstance(value, int) and value >= 0

"""Lost connections and drains: every frame is answered exactly once."""

import threading

import numpy as np
import pytest
import timbre
from conftest import DIMENSION, speech
from proxy import Proxy, at_random


@pytest.fixture
def proxied(server):
    """Makes a proxy in front of the shared server, and a client of it."""
    made = []

    def make(plan=lambda: None, **options):
        proxy = Proxy(server.port, plan)
        client = timbre.Client(proxy.address, **options)
        made.append((proxy, client))
        return proxy, client

    yield make
    for proxy, client in made:
        client.close()
        proxy.close()


def test_frames_survive_connections_that_break_at_random(
    proxied, voice, queries
):
    proxy, client = proxied(at_random(1, 500_000, 4_000_000))
    broken = client.speaker("alice")
    many = np.tile(queries, (50, 1))  # 2.4 MiB each way
    expected = np.tile(voice.blend(queries), (50, 1))
    for _ in range(5):
        assert np.array_equal(broken.blend(many), expected)
    for first in range(0, 4000, 16):
        block = slice(first, first + 16)
        assert np.array_equal(broken.blend(many[block]), expected[block])
    assert proxy.broken > 5


def test_a_message_larger_than_every_connection_gives_up_in_time(proxied):
    _, client = proxied(lambda: 3000, timeout_s=1.0)
    with pytest.raises(timbre.Unavailable, match="no answer for 1 s"):
        client.speaker("alice").blend(np.zeros((1000, DIMENSION), "f4"))


def test_an_idle_stream_whose_connection_broke_is_replaced(
    proxied, voice, queries
):
    proxy, client = proxied()
    broken = client.speaker("alice")
    expected = voice.blend(queries)
    for _ in range(5):
        assert np.array_equal(broken.blend(queries), expected)
        proxy.break_all()
    assert proxy.broken >= 5


def test_a_reopened_stream_keeps_the_version_that_it_had(
    proxied, client, queries
):
    rows = speech(500, DIMENSION, seed=8)
    client.build("keeper", rows)
    proxy, far = proxied()
    voice = far.speaker("keeper")
    before = voice.blend(queries)
    client.build("keeper", rows[::-1] * 2)
    assert voice.version == 1 and far.speaker("keeper").version == 2
    proxy.break_all()
    assert np.array_equal(voice.blend(queries), before)
    client.delete_version("keeper", 1)
    assert np.array_equal(voice.blend(queries), before)  # its stream lives on
    proxy.break_all()
    with pytest.raises(timbre.NotFound):
        voice.blend(queries)


def test_no_frame_is_lost_where_a_server_drains_and_another_comes(
    new_server, alice, queries
):
    """A rolling restart behind one address."""
    first = new_server()
    with timbre.Client(first.address) as client:
        client.build("alice", alice)
        expected = client.speaker("alice").blend(queries)
    second = new_server()
    with timbre.Client(second.address) as client:
        client.build("alice", alice)
    proxy = Proxy(first.port)
    done = threading.Event()
    with timbre.Client(proxy.address) as client:
        voice = client.speaker("alice")

        def restart():
            proxy.target = second.port
            first.stop()
            done.set()

        stopping = None
        answered = 0
        while not done.is_set() or answered < 100:
            assert np.array_equal(voice.blend(queries[:16]), expected[:16])
            answered += 1
            if answered == 50:
                stopping = threading.Thread(target=restart)
                stopping.start()
        stopping.join()
        for _ in range(20):
            assert np.array_equal(voice.blend(queries), expected)
    proxy.close()


def test_a_server_that_is_killed_and_restarted_answers_again(
    tmp_path, new_server, alice, queries
):
    server = new_server(listen=f"unix:{tmp_path / 'socket'}")
    with timbre.Client(server.listen) as client:
        client.build("alice", alice)
        voice = client.speaker("alice")
        expected = voice.blend(queries)
        server.stop(9)
        starting = threading.Thread(target=server.start)
        starting.start()
        assert np.array_equal(voice.blend(queries), expected)
        starting.join()


def test_stored_frames_wait_for_a_server_that_restarts(
    tmp_path, new_server, alice
):
    server = new_server(listen=f"unix:{tmp_path / 'socket'}")
    with timbre.Client(server.listen) as client:
        client.build("alice", alice)
        index = timbre.compat.faiss_index("alice", client)
        server.stop(9)
        starting = threading.Thread(target=server.start)
        starting.start()
        assert np.array_equal(index.reconstruct_n(0, index.ntotal), alice)
        starting.join()


def test_a_build_whose_connection_breaks_is_repeated(proxied, client):
    rows = speech(4000, DIMENSION, seed=9)  # 512 kB
    plans = iter([100_000, 300_000])
    proxy, far = proxied(lambda: next(plans, None))
    version = far.build("stubborn", rows)
    assert version.version == 1 and version.frames == len(rows)
    assert proxy.broken == 2
    assert len(client.get_speaker("stubborn").versions) == 1


def test_frames_that_can_be_read_once_are_not_built_half(proxied, client):
    rows = speech(4000, DIMENSION, seed=9)
    plans = iter([100_000])
    _, far = proxied(lambda: next(plans, None))
    with pytest.raises(timbre.Error):
        far.build("once", (rows[i : i + 500] for i in range(0, 4000, 500)))
    with pytest.raises(timbre.NotFound):
        client.get_speaker("once")


def test_nobody_there_is_unavailable_in_time():
    with timbre.Client("127.0.0.1:1", timeout_s=0.3) as client:
        with pytest.raises(timbre.Unavailable, match="no answer for 0.3 s"):
            client.speaker("alice")

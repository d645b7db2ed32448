"""Through nginx and HAProxy as they are installed, with their defaults."""

import concurrent.futures
import shutil
import socket
import subprocess
import threading

import numpy as np
import pytest
import timbre
from conftest import DIMENSION, speech, wait_for
from timbred import free_port

NGINX = """daemon off; worker_processes 1; pid {d}/pid; error_log {d}/err;
events {{}}
http {{ access_log off; {temp}
 server {{ listen 127.0.0.1:{front} http2;
  location / {{ grpc_pass grpc://127.0.0.1:{port}; }} }} }}
"""
HAPROXY = """
defaults
 mode http
 timeout connect 2s
 timeout client 20s
 timeout server 20s
frontend f
 bind 127.0.0.1:{front} proto h2
 default_backend b
backend b
 server s 127.0.0.1:{port} proto h2
"""


@pytest.fixture
def behind(tmp_path):
    """Starts a proxy in front of a port; its address."""
    running = []

    def start(kind, port):
        if shutil.which(kind, path="/usr/bin:/usr/sbin") is None:
            pytest.skip(f"no {kind} here")
        front = free_port()
        temp = "".join(
            f"{name}_temp_path {tmp_path}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        text = {"nginx": NGINX, "haproxy": HAPROXY}[kind]
        config = tmp_path / f"{kind}.conf"
        config.write_text(
            text.format(d=tmp_path, front=front, port=port, temp=temp)
        )
        command = {
            "nginx": ["nginx", "-p", str(tmp_path), "-c", str(config)],
            "haproxy": ["haproxy", "-db", "-f", str(config)],
        }[kind]
        command[0] = shutil.which(kind, path="/usr/bin:/usr/sbin")
        running.append(
            subprocess.Popen(
                command,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        wait_for(lambda: listens(front))
        return f"127.0.0.1:{front}"

    yield start
    for process in running:
        process.terminate()
        process.wait(30)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_more_voices_than_streams_that_a_proxy_allows(
    behind, server, voice, queries, kind
):
    """nginx allows 128, HAProxy 100; from several threads."""
    expected = voice.blend(queries[:16])
    address = behind(kind, server.port)
    with timbre.Client(address, timeout_s=20) as client:
        voices = [client.speaker("alice") for _ in range(140)]

        def work(first):
            for each in voices[first::4] + voices[first::4][:3]:
                assert np.array_equal(each.blend(queries[:16]), expected)
            return len(list(client.list_speakers()))

        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            assert all(threads.map(work, range(4)))
        mixes = [client.mix({"alice": 1.0}) for _ in range(70)]
        for each in mixes:
            each.blend(queries[:16])
        connection = client._connection
        assert len(connection.idle) <= connection.max_idle_streams
        wait_for(lambda: len(connection.watchdog) <= 64)


def test_what_is_kept_is_what_was_used_last(server, alice, queries):
    with timbre.Client(server.address, max_idle_streams=2) as client:
        voices = [client.speaker("alice", warm=False) for _ in range(3)]
        for i in (0, 1, 2, 1):
            voices[i].blend(queries[:16])
        kept = [len(v._retrieval._blend._idle) for v in voices]
        assert kept == [0, 1, 1]
        voices[0].blend(queries[:16])
        kept = [len(v._retrieval._blend._idle) for v in voices]
        assert kept == [1, 1, 0]


def test_a_limit_of_streams_is_named(server, alice):
    """Where more calls wait at once than any proxy allows."""
    with timbre.Client(server.address) as client:
        connection = client._connection
        assert connection.in_the_way() == ""
        watches = [connection.watchdog.add(None) for _ in range(130)]
        said = str(connection.patience().late())
        assert "130 streams open" in said and "max_idle_streams" in said
        for watch in watches:
            connection.watchdog.remove(watch)


def test_refusals_while_sending_keep_their_code(behind, new_server):
    server = new_server("--max_build_frames=2000")
    frames = speech(3000, 768)
    address = behind("haproxy", server.port)
    with timbre.Client(address, timeout_s=20) as client:
        for _ in range(10):
            with pytest.raises(timbre.InvalidArgument) as caught:
                client.build("BAD NAME", frames)
            assert caught.value.reason == "INVALID_FIELD"


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_restart_behind_a_proxy_is_no_error(
    behind, new_server, alice, queries, kind
):
    server = new_server(
        "--drain_timeout=2s", listen=f"127.0.0.1:{free_port()}"
    )
    with timbre.Client(server.address) as direct:
        direct.build("alice", alice)
        expected = direct.speaker("alice").blend(queries)
    address = behind(kind, server.port)
    done = threading.Event()
    with timbre.Client(address, timeout_s=30) as client:
        voice = client.speaker("alice")

        def work():
            answered = 0
            while not done.is_set() or answered < 20:
                out = voice.blend(queries[:16])
                assert np.array_equal(out, expected[:16])
                answered += 1

        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            calls = [threads.submit(work) for _ in range(4)]
            try:
                for _ in range(2):
                    assert np.array_equal(voice.blend(queries), expected)
                    server.stop()
                    server.start()
            finally:
                done.set()
            for call in calls:
                call.result(60)


def test_nginx_body_limit_is_named(behind, server, alice):
    address = behind("nginx", server.port)
    big = speech(20_000, DIMENSION)  # 2.5 MB
    with timbre.Client(address, timeout_s=3) as client:
        with pytest.raises(timbre.Error, match="client_max_body_size"):
            client.build("large", big)
        with pytest.raises(timbre.Error, match="client_max_body_size"):
            client.speaker("alice").blend(big)


def test_a_live_stream_outlives_nginx_body_limit(behind, server, voice, queries):
    """nginx counts all that a stream ever carried."""
    address = behind("nginx", server.port)
    expected = voice.blend(queries)  # 50 kB
    with timbre.Client(address, timeout_s=10) as client:
        live = client.speaker("alice")
        for _ in range(60):
            assert np.array_equal(live.blend(queries), expected)


def test_a_proxy_that_reaches_no_server_is_named(behind):
    address = behind("nginx", free_port())
    with timbre.Client(address, timeout_s=0.5) as client:
        with pytest.raises(timbre.Unavailable, match="reaches no server"):
            client.server_info()

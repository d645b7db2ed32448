"""How the server stops."""

import datetime
import json
import queue
import signal
import socket
import time

import grpc
import pytest

from conftest import build_requests, details_of, pb, speech, to_frames, wait_for
from ops import HEALTH, health, queued_frames


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_idle_streams_end_with_a_retry_hint_when_the_server_drains(
    new_server, sig
):
    server = new_server()
    server.build("drain", speech(20))
    requests = queue.Queue()
    stream = server.retrieval.Search(iter(requests.get, None))
    requests.put(
        pb.SearchRequest(speaker="drain", frames=to_frames(speech(2)))
    )
    next(stream)
    process = server.process
    process.send_signal(sig)
    with pytest.raises(grpc.RpcError) as error:
        next(stream)
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    details = details_of(error.value)
    assert details["reason"] == "DRAINING" and details["retry"].seconds >= 1
    requests.put(None)
    assert process.wait(timeout=10) == 0


def test_a_call_that_is_complete_ends_well_though_the_server_drains(
    new_server,
):
    server = new_server("--worker_threads=1")
    server.build("last", speech(20_000, 64))
    # So much that the signal comes while it is in work.
    request = pb.SearchRequest(
        speaker="last",
        frames=to_frames(speech(20_000, 64)),
        params=pb.SearchParams(k=8, nprobe=10_000),
    )
    call = server.retrieval.Search(iter([request]))
    wait_for(lambda: queued_frames(server) > 0)
    server.process.send_signal(signal.SIGTERM)
    assert len(list(call)) == 1
    assert call.code() == grpc.StatusCode.OK
    assert server.process.wait(timeout=10) == 0


def test_draining_ends_in_time_though_a_build_goes_on(new_server):
    server = new_server("--drain_timeout=1s")
    server.build_until_training("slow")
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 15
    server.start()
    assert server.versions("slow") in ([], [1])


def test_a_build_that_can_finish_is_finished_by_a_draining_server(new_server):
    server = new_server("--drain_timeout=300s")
    result = []
    call = server.retrieval.Build(
        build_requests("quick", speech(5000, 64), chunk=1000)
    )
    for response in call:
        if response.progress.stage == pb.BuildProgress.STAGE_TRAINING:
            break
    server.process.send_signal(signal.SIGTERM)
    for response in call:
        if response.WhichOneof("event") == "version":
            result.append(response.version.version)
    assert result == [1]
    assert server.process.wait(timeout=60) == 0


def test_calls_that_come_while_the_server_drains_are_turned_away(new_server):
    server = new_server("--drain_timeout=300s")
    server.build("late", speech(20))
    # Keeps the server draining for a while.
    call = server.build_until_training("slow", nlist=5_000)
    process = server.process
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: health(server) == 2)
    assert health(server, "timbre.v1.Retrieval") == 2
    assert health(server, "timbre.v1.Catalog") == 2
    for _ in range(20):
        with pytest.raises(grpc.RpcError) as error:
            server.search("late", speech(2))
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    assert list(call)[-1].version.version == 1
    assert process.wait(timeout=60) == 0


def test_health_and_reflection_do_not_hold_the_drain(new_server):
    server = new_server("--drain_timeout=300s")
    watch = server.channel.unary_stream(HEALTH + "Watch")(b"")
    assert next(watch) == b"\x08\x01"
    reflection = server.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    )
    asked = queue.Queue()
    answers = reflection(iter(asked.get, None))
    asked.put(b"\x3a\x00")
    next(answers)
    # Calls that never ask.
    silent = [
        server.channel.stream_stream(HEALTH + method)(iter(asked.get, None))
        for method in ("Check", "Watch")
    ]
    assert health(server) == 1  # on the same connection, after them
    process = server.process
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert next(watch) == b"\x08\x02"
    with pytest.raises(grpc.RpcError) as error:
        next(watch)
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    assert process.wait(timeout=30) == 0
    ended = time.time()
    assert time.monotonic() - started < 10
    for call in silent:
        assert next(call) == b"\x08\x02"
    for _ in range(3):
        asked.put(None)
    last = json.loads(
        (server.directory / "log").read_text().splitlines()[-1]
    )
    assert last["event"] == "stopped"
    # It is the last word: nothing is left to do after it.
    stopped = datetime.datetime.fromisoformat(
        last["time"].replace("Z", "+00:00")
    )
    assert ended - stopped.timestamp() < 1.5


def test_a_client_that_answers_nothing_does_not_hold_the_drain(new_server):
    server = new_server("--drain_timeout=300s")
    with socket.create_connection(("127.0.0.1", server.port)) as silent:
        # The preface of HTTP/2 and empty SETTINGS; answers no ping after that.
        silent.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        silent.sendall(b"\0\0\0\4\0\0\0\0\0")
        assert silent.recv(9)  # the server's SETTINGS
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 10

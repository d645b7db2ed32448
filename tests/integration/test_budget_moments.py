"""What is held for a moment, or by no stream, refuses nobody."""

import subprocess
import threading

import grpc
import pytest
from budget_servers import (  # noqa: F401
    DIMENSION,
    QUERIES,
    Stream,
    is_open,
    metric,
    original,
    refusal,
    with_voices,
)
from conftest import BIN, ids_of, pb, speech, to_frames


def test_what_a_stream_held_is_there_for_the_next_one_at_once(with_voices):
    server = with_voices(4, 2.5)
    for i in range(300):
        Stream(server, f"v{i % 4}", f"v{(i + 1) % 4}").close()
        Stream(server, f"v{(i + 2) % 4}").close()
        server.search(f"v{(i + 3) % 4}", QUERIES)
    assert metric(server, 'timbre_opens_total{result="no_room"}') == 0


def test_calls_that_need_an_open_voice_are_openings_like_streams(with_voices):
    server = with_voices(2, 1.5, "--max_concurrent_opens=1")

    def export(speaker):
        request = pb.ExportRequest(speaker=speaker)
        return sum(len(part.chunk) for part in server.catalog.Export(request))

    assert export("v0") == export("v1")
    assert metric(server, 'timbre_opens_total{result="ok"}') == 2
    stream = Stream(server, "v0")
    details, _ = refusal(export, "v1")
    assert details["reason"] == "MEMORY_BUDGET"
    stream.close()
    with pytest.raises(grpc.RpcError):
        server.search("nobody", QUERIES)
    assert metric(server, 'timbre_opens_total{result="failed"}') == 0


def test_a_request_without_frames_warms_a_voice_and_holds_nothing(
    with_voices,
):
    server = with_voices(3, 1.5)
    for name in ("v0", "v1"):
        (answer,) = server.retrieval.Search(
            iter([pb.SearchRequest(speaker=name)])
        )
        assert answer.version == 1
        assert is_open(server, name)
    assert not is_open(server, "v0")
    assert metric(server, 'timbre_open_duration_seconds_count{from="open"}') == 0
    server.search("v1", QUERIES)
    assert metric(server, 'timbre_open_duration_seconds_count{from="open"}') == 1


def test_many_warm_ups_at_once_need_room_for_one(with_voices):
    server = with_voices(30, 1.5)
    speakers = [f"v{i}" for i in range(30)]
    warmed = subprocess.run(
        [BIN / "timbre", "warm", f"--server={server.address}", "--at_once=8",
         *speakers],
        capture_output=True, text=True,
    )
    assert warmed.returncode == 0, warmed.stderr
    assert len(warmed.stdout.splitlines()) == 30
    assert metric(server, 'timbre_opens_total{result="no_room"}') == 0


def test_a_stream_that_has_warmed_a_voice_goes_on_with_its_version(
    with_voices,
):
    server = with_voices(2, 1.5)
    more = threading.Event()

    def requests():
        yield pb.SearchRequest(speaker="v0")
        more.wait(60)
        yield pb.SearchRequest(frames=to_frames(QUERIES))

    call = server.retrieval.Search(requests())
    assert next(call).version == 1
    server.search("v1", QUERIES)  # which closes it meanwhile
    assert not is_open(server, "v0")
    server.build("v0", speech(400, DIMENSION, seed=7))
    more.set()
    (answer,) = call
    assert answer.version == 1
    assert len(ids_of(answer)) == len(QUERIES)


def test_builds_and_activations_refuse_nobody(with_voices):
    server = with_voices(2, 1.5)
    done = threading.Event()

    def search():
        while not done.is_set():
            server.search("v0", QUERIES)
        return True

    results = []
    thread = threading.Thread(target=lambda: results.append(search()))
    thread.start()
    for i in range(20):
        version, _ = server.build("v1", speech(400, DIMENSION, seed=i))
        server.catalog.ActivateVersion(
            pb.ActivateVersionRequest(
                speaker="v1", version=version.version - 1
            )
        )
    done.set()
    thread.join()
    assert results == [True]
    assert metric(server, 'timbre_opens_total{result="no_room"}') == 0


def test_a_sweep_of_streams_that_warm_first_leaves_the_hot_ones_open(
    with_voices,
):
    server = with_voices(110, 20.5)
    hot = [f"v{i}" for i in range(10)]
    for speaker in 3 * hot:
        server.search(speaker, QUERIES)

    def between(speaker):
        yield pb.SearchRequest(speaker=speaker)
        server.search(hot[0], QUERIES)
        yield pb.SearchRequest(frames=to_frames(QUERIES))

    for _ in range(2):
        for i in range(10, 110):
            assert len(list(server.retrieval.Search(between(f"v{i}")))) == 2
    assert [s for s in hot if not is_open(server, s)] == []


def test_openings_are_refused_at_once_beside_many_short_streams(with_voices):
    server = with_voices(4, 3.5)
    held = [Stream(server, f"v{i}") for i in range(3)]
    done = threading.Event()

    def short():
        while not done.is_set():
            server.search("v0", QUERIES)

    threads = [threading.Thread(target=short) for _ in range(6)]
    for thread in threads:
        thread.start()
    details, _ = refusal(server.search, "v3", QUERIES)
    done.set()
    for thread in threads:
        thread.join()
    assert details["reason"] == "MEMORY_BUDGET"
    for stream in held:
        stream.close()

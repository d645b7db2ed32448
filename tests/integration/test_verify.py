"""Verify and the scrubber: stored files against their digests."""

import json
import os
import subprocess
import urllib.request

import grpc
import pytest

from conftest import BIN, build_requests, details_of, pb, speech, to_frames
from conftest import wait_for


def flip(path):
    """Another byte in the middle, in place; a second call undoes it."""
    with open(path, "r+b") as file:
        middle = path.stat().st_size // 2
        file.seek(middle)
        (byte,) = file.read(1)
        file.seek(middle)
        file.write(bytes([byte ^ 1]))


def frames_of(server, speaker, version=1):
    return (
        server.directory / f"data/speakers/{speaker}/{version}/total_fea.npy"
    )


def verify(server, speaker=""):
    return [
        answer
        for answer in server.catalog.Verify(pb.VerifyRequest(speaker=speaker))
        if answer.speaker
    ]


def timbre(server, *arguments, code=0):
    done = subprocess.run(
        [BIN / "timbre", *arguments, "--server", server.address],
        capture_output=True, text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def metric(server, name):
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"
    text = urllib.request.urlopen(url).read().decode()
    (line,) = [x for x in text.splitlines() if x.startswith(name + " ")]
    return float(line.split()[1])


class Stream:
    """A Search that stays open."""

    def __init__(self, server, speaker):
        self.requests = []
        self.speaker = speaker
        self.frames = to_frames(speech(3, 64))
        self.call = server.channel.stream_stream(
            "/timbre.v1.Retrieval/Search",
            request_serializer=pb.SearchRequest.SerializeToString,
            response_deserializer=pb.SearchResponse.FromString,
        )(self)

    def __iter__(self):
        return self

    def __next__(self):
        wait_for(lambda: self.requests)
        return self.requests.pop()

    def ask(self):
        self.requests.append(
            pb.SearchRequest(speaker=self.speaker, frames=self.frames)
        )
        return next(self.call)


@pytest.fixture
def voices(new_server):
    server = new_server()
    for speaker in ("alice", "bob"):
        server.build(speaker, speech(2000, 64))
    server.build("alice", speech(2000, 64, seed=5))
    return server


def test_whole_voices_are_whole(voices):
    answers = verify(voices)
    assert [(a.speaker, a.version) for a in answers] == [
        ("alice", 1), ("alice", 2), ("bob", 1),
    ]
    assert not any(a.damage for a in answers)
    last = answers[-1]
    assert last.bytes_done == last.bytes_total == sum(
        file.stat().st_size
        for file in voices.directory.glob("data/speakers/*/*/*")
        if file.suffix in (".npy", ".index")
    )
    assert [a.version for a in verify(voices, "alice")] == [1, 2]
    said = timbre(voices, "verify").stdout
    assert said.startswith("3 versions, ") and said.endswith(": 0 damaged\n")


def test_one_other_byte_is_named_and_costs_that_version_alone(voices):
    stream = Stream(voices, "bob")
    stream.ask()
    flip(frames_of(voices, "bob"))
    voices.search("bob", speech(3, 64))  # nobody has looked yet
    done = timbre(voices, "verify", code=6)
    assert "bob version 1: " in done.stdout
    assert str(frames_of(voices, "bob")) in done.stdout
    assert "3 versions, " in done.stdout and ": 1 damaged" in done.stdout
    assert "alice" not in done.stdout
    with pytest.raises(grpc.RpcError) as error:
        stream.ask()
    assert error.value.code() == grpc.StatusCode.DATA_LOSS
    # Nor does it get out or into a new version, whose digests would fit it.
    for take in (
        lambda: list(
            voices.catalog.ReadFrames(pb.ReadFramesRequest(speaker="bob"))
        ),
        lambda: list(
            voices.catalog.Export(
                pb.ExportRequest(speaker="bob", format=pb.EXPORT_FORMAT_NPY)
            )
        ),
        lambda: voices.build("bob", speech(100, 64), base_version=1),
    ):
        with pytest.raises(grpc.RpcError) as error:
            take()
        assert error.value.code() == grpc.StatusCode.DATA_LOSS
    with pytest.raises(grpc.RpcError) as error:
        voices.search("bob", speech(3, 64))
    assert error.value.code() == grpc.StatusCode.DATA_LOSS
    voices.search("alice", speech(3, 64))
    shown = timbre(voices, "show", "bob").stdout
    assert "warning" in shown and "total_fea.npy" in shown
    assert metric(voices, "timbre_versions_damaged") == 1
    assert metric(voices, "timbre_scrub_damaged_total") == 1
    assert "version_damaged" in (voices.directory / "log").read_text()
    found = json.loads(timbre(voices, "verify", "bob", "--json", code=6).stdout)
    assert found["versions"] == 1
    assert [d["speaker"] for d in found["damaged"]] == ["bob"]


def test_a_restored_file_serves_again(voices):
    flip(frames_of(voices, "bob"))
    timbre(voices, "verify", "bob", code=6)
    flip(frames_of(voices, "bob"))
    voices.search("bob", speech(3, 64))
    timbre(voices, "verify")
    assert metric(voices, "timbre_versions_damaged") == 0


def test_unknown_and_impossible_names(voices):
    for speaker, code in (
        ("nobody", grpc.StatusCode.NOT_FOUND),
        ("no/body", grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.RpcError) as error:
            verify(voices, speaker)
        assert error.value.code() == code
        assert details_of(error.value)["reason"]
    timbre(voices, "verify", "nobody", code=4)


def test_nothing_is_whole(new_server):
    server = new_server()
    assert verify(server) == []
    assert "0 versions" in timbre(server, "verify").stdout


def test_many_at_once_and_some_that_go(voices):
    calls = [voices.catalog.Verify(pb.VerifyRequest()) for _ in range(20)]
    for call in calls[::2]:
        call.cancel()
    for call in calls[1::2]:
        assert len([a for a in call if a.speaker]) == 3


@pytest.fixture
def large(new_server):
    """A voice whose comparison takes long: holes of a file are read too."""
    server = new_server()
    server.build("alice", speech(1000, 64))
    server.build("bob", speech(1000, 64))
    path = frames_of(server, "alice")
    assert server.stop() == 0
    manifest = json.loads((path.parent / "manifest.json").read_text())
    size = 200 << 30
    os.truncate(path, size)
    for file in manifest["files"]:
        if file["name"] == path.name:
            file["bytes"] = str(size)
    (path.parent / "manifest.json").write_text(json.dumps(manifest))
    return server.start()


def test_a_large_file_tells_of_its_progress_and_ends_with_its_call(large):
    call = large.catalog.Verify(pb.VerifyRequest(speaker="alice"))
    first, second = next(call), next(call)
    assert first.speaker == second.speaker == ""
    assert 0 < first.bytes_done < second.bytes_done < second.bytes_total
    call.cancel()
    # Another one has the thread then.
    call = large.catalog.Verify(pb.VerifyRequest(speaker="alice"))
    assert next(call).bytes_done < second.bytes_total
    call.cancel()
    # The one thread is free again, after some GB of two hundred.
    found = list(large.catalog.Verify(pb.VerifyRequest(speaker="bob")))
    assert [(r.speaker, r.damage) for r in found if r.speaker] == [("bob", "")]
    done = metric(large, "timbre_scrub_bytes_total")
    assert done < second.bytes_total
    list(large.catalog.Verify(pb.VerifyRequest(speaker="bob")))
    # Nobody else reads: not a byte more than bob has.
    assert (
        metric(large, "timbre_scrub_bytes_total")
        == done + found[-1].bytes_total
    )
    assert metric(large, "timbre_scrub_damaged_total") == 0


def test_a_drain_ends_it(large):
    call = large.catalog.Verify(pb.VerifyRequest())
    next(call)
    assert large.stop() == 0
    with pytest.raises(grpc.RpcError) as error:
        for _ in call:
            pass
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE


def test_the_scrubber_finds_damage_by_itself(new_server):
    server = new_server("--scrub_rate=1000000000")
    for speaker in ("alice", "bob"):
        server.build(speaker, speech(2000, 64))
    wait_for(lambda: metric(server, "timbre_scrub_bytes_total") > 1_000_000)
    assert metric(server, "timbre_scrub_damaged_total") == 0
    flip(frames_of(server, "alice"))
    wait_for(lambda: metric(server, "timbre_scrub_damaged_total") == 1)
    with pytest.raises(grpc.RpcError) as error:
        server.search("alice", speech(3, 64))
    assert error.value.code() == grpc.StatusCode.DATA_LOSS
    server.search("bob", speech(3, 64))
    assert metric(server, "timbre_scrub_oldest_check_age_seconds") < 30
    flip(frames_of(server, "alice"))
    wait_for(lambda: metric(server, "timbre_versions_damaged") == 0)
    server.search("alice", speech(3, 64))


def test_a_build_beside_a_scrub_and_verifies(new_server):
    server = new_server("--scrub_rate=1000000000", "--keep_versions=1")
    for seed in range(5):
        call = server.catalog.Verify(pb.VerifyRequest())
        for response in server.retrieval.Build(
            build_requests("alice", speech(500, 64, seed=seed))
        ):
            pass
        assert not any(a.damage for a in call)
    assert metric(server, "timbre_scrub_damaged_total") == 0

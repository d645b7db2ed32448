"""Servers with many voices and little room, and what is asked of them."""

import threading

import grpc
import pytest
from conftest import Server, details_of, pb, speech, to_frames
from ops import scrape
from voice_copies import copy_voice

DIMENSION = 32
QUERIES = speech(16, DIMENSION, seed=90)


def info(server):
    return server.catalog.GetServerInfo(pb.GetServerInfoRequest())


def metric(server, name):
    for line in scrape(server).splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    raise AssertionError(name)


def is_open(server, speaker):
    found = server.catalog.GetSpeaker(pb.GetSpeakerRequest(speaker=speaker))
    return found.versions[0].loaded


def request(speaker):
    return pb.SearchRequest(speaker=speaker, frames=to_frames(QUERIES))


class Stream:
    """An open stream of one voice, or of a mix of several."""

    def __init__(self, server, *speakers):
        self._more = threading.Event()
        if len(speakers) == 1:
            first, call = request(speakers[0]), server.retrieval.Search
        else:
            voices = [pb.VoiceWeight(speaker=s, weight=1) for s in speakers]
            first = pb.BlendRequest(voices=voices, frames=to_frames(QUERIES))
            call = server.retrieval.Blend
        self.call = call(self._requests(first))
        self.response = next(self.call)

    def _requests(self, first):
        yield first
        self._more.wait(60)

    def close(self):
        self._more.set()
        assert list(self.call) == []


def refusal(function, *arguments):
    with pytest.raises(grpc.RpcError) as error:
        function(*arguments)
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    return details_of(error.value), error.value.details()


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """What voices are copied from, and what one of them holds."""
    server = Server(tmp_path_factory.mktemp("original")).start()
    server.build("original", speech(400, DIMENSION, seed=1))
    answer = server.search("original", QUERIES)
    held = info(server).resident_bytes
    assert server.stop() == 0
    return server.directory / "data" / "speakers" / "original", held, answer


@pytest.fixture
def with_voices(new_server, original, tmp_path):
    """Starts a server with voices v0, v1 ... and room for some of them."""
    directory, held, _ = original

    def start(voices, room=None, *flags, **kwargs):
        server = new_server()
        assert server.stop() == 0
        speakers = tmp_path / "data" / "speakers"
        speakers.joinpath("original").symlink_to(directory)
        for i in range(voices):
            copy_voice(tmp_path / "data", "original", f"v{i}")
        speakers.joinpath("original").unlink()
        budget = [f"--max_resident_bytes={int(room * held)}"] if room else []
        server.flags = (*server.flags, *budget, *flags)
        for key, value in kwargs.items():
            setattr(server, key, value)
        return server.start()

    return start

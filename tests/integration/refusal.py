"""What tests of bad input share."""

import queue

import grpc
import pytest

from conftest import details_of, pb, speech, to_frames

FRAMES = speech(20)

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def voice(server):
    """A voice that is misused; another stream goes on through every test."""
    version, _ = server.build(
        "victim", speech(500), index_factory="IVF8,PQ16x4fs,RFlat"
    )
    requests = queue.Queue()
    stream = server.retrieval.Search(iter(requests.get, None))
    requests.put(pb.SearchRequest(speaker="victim", frames=to_frames(FRAMES)))
    expected = next(stream).neighbors
    yield "victim"
    requests.put(pb.SearchRequest(frames=to_frames(FRAMES)))
    assert next(stream).neighbors == expected
    requests.put(None)
    assert list(stream) == []
    assert server.versions("victim") == [version.version]
    server.catalog.DeleteSpeaker(pb.DeleteSpeakerRequest(speaker="victim"))


def refused(call, code, field=None):
    with pytest.raises(grpc.RpcError) as caught:
        for _ in call:
            pass
    error = caught.value
    assert error.code() == code, error
    details = details_of(error)
    assert details["reason"].isupper()
    if field:
        assert details["fields"] == [field], error
        assert error.details().startswith(field)
        assert "must be" in error.details()
    return error


def raw(server, method, *messages):
    """A stream of bytes as they are."""
    call = server.channel.stream_stream(f"/timbre.v1.{method}")
    return call(iter(messages))


def search_second(server, second):
    first = pb.SearchRequest(speaker="victim", frames=to_frames(FRAMES))
    return server.retrieval.Search(iter([first, second]))

"""Messages that clients compress."""

import gzip
import struct
import zlib

import grpc
import numpy as np
import pytest

import h2.events

from conftest import Server, details_of, pb, rpc, speech, to_frames
from http2 import RawCall
from ops import HEALTH, peak_rss

FRAMES = speech(300)


class Compressed(Server):
    """Its stubs compress what they send."""

    compression = grpc.Compression.Gzip

    def connect(self):
        super().connect()
        self.plain_channel = self.channel
        self.channel = grpc.insecure_channel(
            self.address,
            options=[("grpc.max_receive_message_length", -1)],
            compression=self.compression,
        )
        self.retrieval = rpc.RetrievalStub(self.channel)
        self.catalog = rpc.CatalogStub(self.channel)


@pytest.fixture(
    scope="module",
    params=[grpc.Compression.Gzip, grpc.Compression.Deflate],
    ids=["gzip", "deflate"],
)
def server(request, tmp_path_factory):
    running = Compressed(
        tmp_path_factory.mktemp("compressed"), "--max_message_bytes=8000000"
    )
    running.compression = request.param
    running.start()
    yield running
    assert running.stop() == 0


def test_every_kind_of_call_takes_compressed_messages(server):
    server.build("voice", FRAMES)
    server.build("voice", FRAMES)
    queries = np.repeat(FRAMES[:64], 8, 0)
    plain = rpc.RetrievalStub(server.plain_channel)
    request = pb.BlendRequest(speaker="voice", frames=to_frames(queries))
    (expected,) = plain.Blend(iter([request]))
    answers = list(server.retrieval.Blend(iter([request] * 5)))
    assert len(answers) == 5
    assert all(a.frames == expected.frames for a in answers)
    assert len(server.search("voice", queries).neighbors.ids) > 0
    server.catalog.Tune(
        iter([pb.TuneRequest(speaker="voice", frames=to_frames(queries))])
    )
    names = {"speaker": "voice", "version": 1}
    server.catalog.ActivateVersion(pb.ActivateVersionRequest(**names))
    ids = pb.ReadFramesRequest(speaker="voice", ids=[0] * 1000)
    assert list(server.catalog.ReadFrames(ids))
    assert list(server.catalog.Export(pb.ExportRequest(speaker="voice")))
    prefix = pb.ListSpeakersRequest(prefix="voice" * 5)
    server.catalog.ListSpeakers(prefix)
    check = server.channel.unary_unary(HEALTH + "Check")
    name = b"timbre.v1.Retrieval"
    assert check(b"\x0a\x13" + name) == b"\x08\x01"
    reflect = server.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    )
    asked = b"\x22\x13" + name  # file_containing_symbol
    (answer,) = reflect(iter([asked]))
    assert b"retrieval.proto" in answer


def test_the_limit_of_messages_is_that_of_what_they_hold(server):
    server.build("limit", FRAMES)
    below = np.zeros((56_000, 32), "f4")  # 7.2 MB of zeros: 7 KB
    assert len(server.blend("limit", below).frames.data) == below.nbytes
    above = np.zeros((64_000, 32), "f4")
    with pytest.raises(grpc.RpcError) as error:
        server.blend("limit", above)
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details_of(error.value)["reason"] == "MESSAGE_TOO_LARGE"
    assert "8000000" in error.value.details()


def test_a_bomb_takes_no_more_than_a_message_may(server):
    before = peak_rss(server.process.pid)
    call = server.channel.stream_stream("/timbre.v1.Retrieval/Search")
    for _ in range(4):
        with pytest.raises(grpc.RpcError) as error:
            list(call(iter([b"\0" * 100_000_000])))
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert details_of(error.value)["reason"] == "MESSAGE_TOO_LARGE"
    assert peak_rss(server.process.pid) - before < 4 * 8e6


def compressed(data):
    return b"\1" + struct.pack(">I", len(data)) + data


def answer_to(server, data, encoding, method="Retrieval/Search", **where):
    """Status, text, headers and bytes."""
    call = RawCall(
        server.port,
        method,
        headers=[
            ("grpc-encoding", encoding),
            ("grpc-accept-encoding", "gzip,deflate"),
        ],
        **where,
    )
    call.send(compressed(data), end=True)
    headers, body = {}, b""
    while "grpc-status" not in headers:
        for event in call.events(0.05):
            if isinstance(event, h2.events.DataReceived):
                body += event.data
            headers |= dict(getattr(event, "headers", None) or ())
    call.socket.close()
    return int(headers["grpc-status"]), headers, body


REQUEST = pb.SearchRequest(
    speaker="raw", frames=to_frames(FRAMES)
).SerializeToString()


def test_answers_are_not_compressed(server):
    server.build("raw", FRAMES)
    for encoding, data in (
        ("gzip", gzip.compress(REQUEST)),
        ("deflate", zlib.compress(REQUEST)),
    ):
        status, headers, body = answer_to(server, data, encoding)
        assert status == 0
        assert headers.get("grpc-encoding", "identity") == "identity"
        assert body[0] == 0
        answer = pb.SearchResponse.FromString(body[5:])
        assert len(answer.neighbors.ids) == len(FRAMES) * answer.neighbors.k * 8


def test_probes_may_be_compressed(server):
    status, _, body = answer_to(
        server,
        gzip.compress(b""),
        "gzip",
        "v1.Health/Check",
        package="grpc.health",
    )
    assert (status, body) == (0, b"\0\0\0\0\2\x08\1")


@pytest.mark.parametrize(
    "data, encoding",
    [
        (gzip.compress(REQUEST)[:-1], "gzip"),
        (gzip.compress(REQUEST)[:100], "gzip"),
        (gzip.compress(REQUEST) + b"x", "gzip"),
        (gzip.compress(REQUEST)[:-8] + b"12345678", "gzip"),
        (REQUEST, "gzip"),
        (b"", "gzip"),
        (zlib.compress(REQUEST), "gzip"),
        (gzip.compress(REQUEST), "deflate"),
        (zlib.compress(REQUEST)[:-3], "deflate"),
    ],
)
def test_what_is_compressed_badly_is_an_invalid_request(
    server, data, encoding
):
    status, headers, _ = answer_to(server, data, encoding)
    assert status == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "grpc-encoding" in headers["grpc-message"]

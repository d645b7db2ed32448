"""Abuse of HTTP/2: it ends, costs little, and others are answered."""

import socket
import threading
import time

import grpc
import pytest

from conftest import Server, pb, speech, to_frames, wait_for
from floods import (
    END_HEADERS, FLOODS, HEADERS, Flooder, frame, rapid_reset, request_headers,
)
from ops import peak_rss, rss, scrape

MIB = 1 << 20


def faults(server, *reasons):
    return sum(
        float(line.split()[1])
        for line in scrape(server).splitlines()
        if line.startswith("timbre_connection_faults_total")
        and any(f'"{reason}"' in line for reason in reasons)
    )


class Neighbour:
    """Another client, which asks again and again; its slowest answer."""

    def __init__(self, server, speaker):
        self.server = server
        self.speaker = speaker
        self.slowest = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        frames = speech(4)
        while not self._stop.wait(0.01):
            start = time.monotonic()
            self.server.blend(self.speaker, frames)
            self.slowest = max(self.slowest, time.monotonic() - start)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


@pytest.fixture(scope="module")
def flooded(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("flooded")).start()
    running.build("flooded", speech(500))
    yield running
    assert running.stop() == 0


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.__name__)
def test_a_flood_is_cut_off(flooded, flood):
    before = rss(flooded.process.pid)
    with Neighbour(flooded, "flooded") as neighbour:
        assert Flooder(flooded.port).run(flood, seconds=20)
    # Seconds on a machine that does nothing else are a fraction of one.
    assert neighbour.slowest < 10
    wait_for(lambda: rss(flooded.process.pid) < before + 100 * MIB)
    assert peak_rss(flooded.process.pid) < before + 600 * MIB


def test_an_open_call_is_no_licence(flooded):
    cut = faults(flooded, "resets", "cpu", "bytes")
    flooder = Flooder(
        flooded.port,
        before=frame(HEADERS, END_HEADERS, 1,
                     request_headers("Retrieval/Search")),
    )
    wait_for(lambda: 'timbre_streams_in_flight{rpc="Search"} 1'
             in scrape(flooded))
    assert flooder.run(lambda: rapid_reset(3), seconds=10)
    wait_for(lambda: faults(flooded, "resets", "cpu", "bytes") > cut)


def test_a_flood_over_ipv6_is_known_by_its_peer(tmp_path):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    server = Server(tmp_path, listen="[::1]:0").start()
    try:
        # A minute of small calls, were they not known, would be abuse.
        channel = grpc.insecure_channel(f"[::1]:{server.port}")
        ask = channel.unary_unary(
            "/timbre.v1.Catalog/GetServerInfo",
            request_serializer=bytes, response_deserializer=bytes,
        )
        padding = [("padding", "x" * 4000)]
        for _ in range(1500):
            ask(b"", metadata=padding)
        assert faults(server, "bytes", "resets", "cpu") == 0
        assert Flooder(server.port, "::1").run(rapid_reset, seconds=10)
        assert faults(server, "bytes", "resets", "cpu") == 1
    finally:
        server.stop()


def test_what_honest_clients_do_is_never_cut_off(flooded):
    cut = faults(flooded, "bytes", "resets", "cpu", "silence")
    frames = speech(20_000, 256)  # 20 MB in a message
    flooded.build("honest", frames, chunk=20_000, index_factory="Flat")
    # Uploads that are taken back in the middle of a message.
    for _ in range(20):
        call = flooded.retrieval.Build(
            iter([pb.BuildRequest(frames=to_frames(frames))])
        )
        call.cancel()
    # Hundreds of streams at once, which all go away at once.
    streams = []
    for _ in range(300):
        requests = [pb.SearchRequest(speaker="flooded",
                                     frames=to_frames(speech(4)))]
        streams.append(flooded.retrieval.Search(iter(requests)))
    for stream in streams:
        next(stream)
        stream.cancel()
    # Thousands of small calls, and a download.
    for _ in range(1000):
        flooded.catalog.GetSpeaker.future(
            pb.GetSpeakerRequest(speaker="honest")
        )
    rows = sum(
        len(part.frames.data)
        for part in flooded.catalog.ReadFrames(
            pb.ReadFramesRequest(speaker="honest")
        )
    ) // (256 * 2)  # kept as float16
    assert rows == 20_000
    assert flooded.versions("honest") == [1]
    assert faults(flooded, "bytes", "resets", "cpu", "silence") == cut

"""Connections: pings in both directions, silent peers, old age."""

import pathlib
import queue

import grpc
import h2.events
import pytest

from conftest import pb, speech, to_frames, wait_for
from http2 import RawCall
from ops import scrape

SEARCHES = 'timbre_streams_in_flight{rpc="Search"}'


def went_away(events):
    return [e for e in events if isinstance(e, h2.events.ConnectionTerminated)]


def searching(server, speaker):
    """A Search that stays open, by hand."""
    call = RawCall(server.port, "Retrieval/Search")
    call.send(call.framed(pb.SearchRequest(speaker=speaker)))
    return call


def test_paced_pings_are_accepted_and_silent_peers_are_freed(new_server):
    # Slow because the server's clocks are: it takes a ping every 5 s, sends
    # one after 20 s of silence, and waits 20 s for the answer.
    server = new_server()
    server.build("pinged", speech(10))
    silent = searching(server, "pinged")
    with_stream = searching(server, "pinged")
    idle = RawCall(server.port, "Catalog/GetServerInfo")
    idle.send(idle.framed(pb.GetServerInfoRequest()), end=True)
    wait_for(lambda: f"{SEARCHES} 2" in scrape(server))
    assert not went_away(idle.events(0.5))
    # One more than the two strikes that gRPC forgives, plus the first.
    for _ in range(4):
        for call in (idle, with_stream):
            call.ping()
            assert not went_away(call.events(2.7))
    wait_for(lambda: f"{SEARCHES} 1" in scrape(server), seconds=40)
    silent.socket.close()
    with_stream.ping()
    assert not went_away(with_stream.events(0.5))


def test_a_flood_of_pings_is_not(new_server):
    server = new_server()
    server.build("flooded", speech(10))
    call = searching(server, "flooded")
    call.events(0.5)
    for _ in range(6):
        call.ping()
    call.socket.settimeout(10)
    received = b""
    while b"too_many_pings" not in received:
        more = call.socket.recv(1 << 16)
        assert more, received
        received += more


def connections(port):
    """How many there are to a port of this machine, from the kernel."""
    rows = []
    for table in ("tcp", "tcp6"):  # gRPC's sockets are of the second kind
        path = pathlib.Path("/proc/net") / table
        if path.exists():
            rows += path.read_text().splitlines()[1:]
    local = f":{port:04X}"
    established = "01"
    return sum(
        row.split()[1].endswith(local) and row.split()[3] == established
        for row in rows
    )


def test_old_connections_are_replaced_while_their_streams_live_on(new_server):
    server = new_server(
        "--max_connection_age=1s", "--max_connection_age_grace=6s"
    )
    server.build("aged", speech(20))
    requests = queue.Queue()
    stream = server.retrieval.Search(iter(requests.get, None))
    request = pb.SearchRequest(speaker="aged", frames=to_frames(speech(2)))
    requests.put(request)
    before = next(stream).neighbors

    def new_calls_go_elsewhere():
        server.search("aged", speech(2))
        return connections(server.port) >= 2

    wait_for(new_calls_go_elsewhere)
    requests.put(request)
    assert next(stream).neighbors == before
    with pytest.raises(grpc.RpcError) as error:
        next(stream)  # once the grace is over
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    requests.put(None)
    server.search("aged", speech(2))

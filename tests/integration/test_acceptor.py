"""Shortages: descriptors, connections, calls; sockets of the file system."""

import queue
import resource
import signal
import socket

import grpc
import pytest

from conftest import Server, speech, wait_for
from ops import health, scrape
from test_floods import faults


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=5)


def is_closed(connection):
    """Whether the server has closed it, which sends its SETTINGS first."""
    connection.settimeout(0.01)
    try:
        while connection.recv(1 << 12):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def answers(server):
    server.connect()
    try:
        return health(server) == 1
    except grpc.RpcError:
        return False


def test_accepting_goes_on_after_a_shortage_of_descriptors(new_server):
    server = new_server("--max_connections=1000")
    # More connections than descriptors: the limit falls while it runs.
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (64, 64))
    held = [connect(server) for _ in range(100)]
    wait_for(lambda: faults_logged(server, "accept_failed"))
    for connection in held:
        connection.close()
    wait_for(lambda: answers(server))
    server.build("after", speech(20))


def faults_logged(server, event):
    text = (server.directory / "log").read_text()
    return any(
        f'"event":"{event}"' in line and '"level":"error"' in line
        for line in text.splitlines()
    )


def test_connections_beyond_the_limit_are_closed_and_room_is_used(new_server):
    server = new_server("--max_connections=20")
    server.build("before", speech(20))
    held = [connect(server) for _ in range(60)]
    wait_for(lambda: faults(server, "limit") >= 30)
    assert faults_logged(server, "connection_refused")
    for connection in held:
        connection.close()
    wait_for(lambda: answers(server))


def test_silent_connections_make_room_for_others(new_server):
    server = new_server("--max_connections=20")
    held = [connect(server) for _ in range(20)]
    wait_for(lambda: answers(server))
    assert faults(server, "silence") >= 19
    wait_for(lambda: sum(map(is_closed, held)) >= 19)


def test_a_connection_that_never_speaks_is_closed(new_server):
    server = new_server()
    silent = connect(server)
    wait_for(lambda: is_closed(silent), seconds=40)


def test_calls_beyond_the_limit_are_refused_but_probes_are_not(new_server):
    server = new_server("--max_calls=5")
    server.build("called", speech(20))
    idle = queue.Queue()  # nobody puts anything
    streams = []

    def five_are_open():
        # The Build may still be on its way out, and one of them refused.
        if 'timbre_streams_in_flight{rpc="Search"} 5' in scrape(server):
            return True
        streams.append(server.retrieval.Search(iter(idle.get, 0)))
        return False

    wait_for(five_are_open)
    channel = grpc.insecure_channel(server.address, options=[
        ("grpc.use_local_subchannel_pool", 1)])
    info = channel.unary_unary("/timbre.v1.Catalog/GetServerInfo")
    with pytest.raises(grpc.RpcError) as error:
        info(b"")
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "--max_calls" in error.value.details()
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    assert check(b"")[1] == 1
    for stream in streams:
        stream.cancel()
    wait_for(lambda: works(info))


def works(call):
    try:
        call(b"")
        return True
    except grpc.RpcError:
        return False


def test_two_servers_never_share_a_socket(tmp_path):
    path = tmp_path / "socket"
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    one = Server(tmp_path / "one", listen=f"127.0.0.1:0,unix:{path}").start()
    with pytest.raises(RuntimeError, match="ADDRESS_IN_USE|listens there"):
        Server(tmp_path / "two", listen=f"unix:{path}").start()
    assert one.stop(signal.SIGKILL) != 0
    assert path.exists()  # stale now
    three = Server(
        tmp_path / "three", listen=f"127.0.0.1:0,unix:{path}"
    ).start()
    channel = grpc.insecure_channel(f"unix:{path}")
    assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"")[1] == 1
    channel.close()
    assert three.stop() == 0
    assert not path.exists()

"""Pipelined messages through proxies that buffer less than a message."""

import concurrent.futures
import shutil
import socket
import subprocess

import grpc
import numpy as np
import pytest

from conftest import BIN, pb, rpc, speech, to_frames, wait_for


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def haproxy(directory, server, port):
    config = directory / "haproxy.cfg"
    config.write_text(f"""
defaults
 mode http
 timeout connect 2s
 timeout client 60s
 timeout server 60s
frontend f
 bind 127.0.0.1:{port} proto h2
 default_backend b
backend b
 server s 127.0.0.1:{server.port} proto h2
""")
    return ["haproxy", "-db", "-f", config]


def nginx(directory, server, port):
    config = directory / "nginx.conf"
    config.write_text(f"""
daemon off; worker_processes 1; pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
events {{ worker_connections 1024; }}
http {{
 access_log off;
 client_body_temp_path {directory}; proxy_temp_path {directory};
 fastcgi_temp_path {directory}; uwsgi_temp_path {directory};
 scgi_temp_path {directory};
 server {{
  listen 127.0.0.1:{port} http2;
  client_max_body_size 0;
  location / {{ grpc_pass grpc://127.0.0.1:{server.port}; }}
 }}
}}
""")
    return ["nginx", "-p", directory, "-c", config]


@pytest.fixture(params=[haproxy, nginx], ids=lambda make: make.__name__)
def proxied(request, server, tmp_path):
    """The address of a proxy in front of the server."""
    command = request.param(tmp_path, server, port := free_port())
    if not shutil.which(command[0]):
        pytest.skip(f"no {command[0]} here")
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def listens():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(listens)
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait()


@pytest.mark.parametrize("rows", [60, 300, 1300], ids="{}_frames".format)
@pytest.mark.parametrize("streams", [1, 16], ids="{}_streams".format)
def test_streams_of_one_connection_do_not_wait_for_each_other(
    server, proxied, rows, streams
):
    dimension = 768
    if not server.versions("pipelined"):
        server.build("pipelined", speech(200, dimension), index_factory="Flat")
    channel = grpc.insecure_channel(proxied, options=[
        ("grpc.max_receive_message_length", -1)])
    blend = rpc.RetrievalStub(channel).Blend
    frames = speech(rows, dimension)
    request = pb.BlendRequest(speaker="pipelined", frames=to_frames(frames))
    expected = list(server.retrieval.Blend(iter([request])))[0]

    def run(_):
        # Two messages under way all the time.
        answers = list(blend(iter([request] * 4), timeout=30))
        return [a.frames.data for a in answers]

    with concurrent.futures.ThreadPoolExecutor(streams) as pool:
        for answers in pool.map(run, range(streams)):
            assert answers == [expected.frames.data] * 4
    channel.close()


def test_a_long_file_gets_through_from_the_command_line(
    server, proxied, tmp_path
):
    frames = speech(15_000, 768)  # 44 MiB, in one stream
    server.build("long-file", frames[:500])
    np.save(tmp_path / "long.npy", frames)
    run = subprocess.run(
        [BIN / "timbre", "blend", "long-file", tmp_path / "long.npy",
         tmp_path / "out.npy", "--server", proxied, "--timeout=10s"],
        capture_output=True, text=True,
    )
    assert run.returncode == 0, run.stderr
    assert np.load(tmp_path / "out.npy").shape == frames.shape

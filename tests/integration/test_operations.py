"""What operators rely on: start, health, metrics, drain, limits."""

import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time
import urllib.request

import grpc
import pytest

from conftest import (
    BIN,
    ROOT,
    Server,
    build_requests,
    details_of,
    pb,
    speech,
    to_frames,
    wait_for,
)

HEALTH = "/grpc.health.v1.Health/"


def health(server, service=""):
    """The status byte of grpc.health.v1: 1 SERVING, 2 NOT_SERVING."""
    request = b"\x0a" + bytes([len(service)]) + service.encode()
    answer = server.channel.unary_unary(HEALTH + "Check")(
        request if service else b""
    )
    return answer[1] if answer else 0


def scrape(server):
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"
    with urllib.request.urlopen(url) as response:
        return response.read().decode()


def test_health_is_serving_overall_and_per_service(server):
    assert health(server) == 1
    assert health(server, "timbre.v1.Retrieval") == 1
    assert health(server, "timbre.v1.Catalog") == 1
    with pytest.raises(grpc.RpcError) as error:
        health(server, "unknown")
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_server_info(server):
    info = server.catalog.GetServerInfo(pb.GetServerInfoRequest())
    assert info.simd_level.startswith(("avx", "portable"))
    assert info.metrics_port == server.metrics_port
    assert info.max_message_bytes == 64 << 20
    assert info.worker_threads >= 1


def test_metrics_have_their_series_and_promtool_finds_nothing(server):
    server.build("metrics", speech(5000))
    for nprobe in (1, 3, 300):
        params = pb.SearchParams(nprobe=nprobe)
        server.search("metrics", speech(10), params)
        server.blend("metrics", speech(10), pb.BlendParams(search=params))
    text = scrape(server)
    for part in (
        'timbre_search_duration_seconds_count{nprobe="4"}',
        'timbre_blend_duration_seconds_count{nprobe="1"}',
        'timbre_frame_duration_seconds_count{nprobe="other",rpc="Blend"}',
        'timbre_stage_duration_seconds_count{rpc="Search",stage="decode"}',
        'timbre_requests_total{rpc="Search",status="OK"}',
        'timbre_frames_total{rpc="Blend"}',
        'timbre_build_stage_duration_seconds_bucket{stage="training"',
        "timbre_speakers_loaded",
        "timbre_resident_bytes",
        "timbre_build_info{",
        "process_resident_memory_bytes",
    ):
        assert part in text, part
    promtool = shutil.which("promtool") or ROOT / "build/tools/promtool"
    if not pathlib.Path(promtool).exists():
        pytest.skip("promtool is not installed")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True,
        text=True,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_strange_requests_on_the_metrics_port_do_no_harm(server):
    import socket

    for request in (
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET /foo HTTP/1.1\r\nHost: x\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection(
            ("127.0.0.1", server.metrics_port), timeout=10
        ) as connection:
            connection.sendall(request)
            connection.recv(100)
    assert "timbre_build_info" in scrape(server)


def test_grpcurl_needs_no_proto_file(server):
    grpcurl = shutil.which("grpcurl") or shutil.which(
        "grpcurl", path=os.path.expanduser("~/go/bin")
    )
    if not grpcurl:
        pytest.skip("grpcurl is not installed")
    address = f"127.0.0.1:{server.port}"
    listed = subprocess.run(
        [grpcurl, "-plaintext", address, "list"], capture_output=True,
        text=True, check=True,
    ).stdout.split()
    assert {"timbre.v1.Retrieval", "timbre.v1.Catalog"} <= set(listed)
    server.build("curl", speech(3))
    shown = subprocess.run(
        [grpcurl, "-plaintext", "-d", '{"speaker": "curl"}', address,
         "timbre.v1.Catalog/GetSpeaker"],
        capture_output=True, text=True, check=True,
    ).stdout
    assert '"activeVersion": "1"' in shown


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_idle_streams_end_with_a_retry_hint_when_the_server_drains(
    new_server, sig
):
    import queue

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
    call = server.build_until_training("slow", nlist=1000)
    process = server.process
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: health(server) == 2)
    for _ in range(20):
        with pytest.raises(grpc.RpcError) as error:
            server.search("late", speech(2))
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    assert list(call)[-1].version.version == 1
    assert process.wait(timeout=60) == 0


def test_cancelled_calls_are_counted_as_such(new_server):
    import queue

    server = new_server()
    server.build("counted", speech(20))
    requests = queue.Queue()
    stream = server.retrieval.Search(iter(requests.get, None))
    requests.put(
        pb.SearchRequest(speaker="counted", frames=to_frames(speech(2)))
    )
    next(stream)
    stream.cancel()
    requests.put(None)
    series = 'timbre_requests_total{rpc="Search",status="CANCELLED"} 1'
    wait_for(lambda: series in scrape(server))
    assert 'timbre_streams_in_flight{rpc="Search"} 0' in scrape(server)


def test_compressed_bombs_are_refused_before_they_are_inflated(new_server):
    server = new_server()
    call = server.channel.stream_stream("/timbre.v1.Retrieval/Search")
    with pytest.raises(grpc.RpcError) as error:
        list(
            call(
                iter([b"\0" * 300_000_000]),
                compression=grpc.Compression.Gzip,
            )
        )
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert peak_rss(server.process.pid) < 150e6


def test_a_second_server_on_the_directory_says_so(new_server, tmp_path):
    server = new_server()
    second = subprocess.run(
        [BIN / "timbred", f"--data_dir={server.directory / 'data'}",
         "--listen=127.0.0.1:0", "--metrics_listen="],
        capture_output=True, text=True,
    )
    assert second.returncode == 1
    assert "in use by another timbred" in second.stderr


def test_a_port_in_use_says_so(server, tmp_path):
    second = subprocess.run(
        [BIN / "timbred", f"--data_dir={tmp_path}", "--metrics_listen=",
         f"--listen=127.0.0.1:{server.port}"],
        capture_output=True, text=True,
    )
    assert second.returncode == 1
    assert "cannot listen" in second.stderr


@pytest.mark.parametrize(
    "flag",
    ["--max_message_bytes=5", "--drain_timeout=-1s", "--listen=nonsense",
     "--max_concurrent_builds=0", "--simd_level=mmx", "--log_level=loud",
     "--max_connection_age=1ms"],
)
def test_flags_out_of_range_are_explained(tmp_path, flag):
    run = subprocess.run(
        [BIN / "timbred", f"--data_dir={tmp_path}/d", "--listen=127.0.0.1:0",
         "--metrics_listen=", flag],
        capture_output=True, text=True,
    )
    assert run.returncode == 1
    assert "must be" in run.stderr and flag.split("=")[0] in run.stderr


def test_help_tells_each_flag_and_no_others():
    run = subprocess.run(
        [BIN / "timbred", "--help"], capture_output=True, text=True
    )
    for flag in ("--data_dir", "--listen", "--drain_timeout",
                 "--keep_versions", "--max_connection_age"):
        assert flag in run.stdout
    assert "--undefok" not in run.stdout


def test_several_addresses_unix_among_them(tmp_path):
    socket = tmp_path / "s"
    server = Server(
        tmp_path, listen=f"127.0.0.1:0,unix:{socket}"
    ).start()
    try:
        server.build("unix", speech(5))
        server.channel.close()
        server.channel = grpc.insecure_channel(f"unix:{socket}")
        assert health(server) == 1
    finally:
        assert server.stop() == 0


def test_client_pings_every_ten_seconds_are_accepted(server):
    # Ten times as often here, scaled to the server's 5 s limit with data
    # flowing: gRPC resets its count of strikes on every data frame.
    channel = grpc.insecure_channel(
        f"127.0.0.1:{server.port}",
        options=[
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
        ],
    )
    grpc.channel_ready_future(channel).result(timeout=10)
    broken = threading.Event()
    channel.subscribe(
        lambda state: broken.set()
        if state == grpc.ChannelConnectivity.TRANSIENT_FAILURE
        else None
    )
    assert not broken.wait(25), "the server closed a connection that pings"
    channel.close()


def test_a_full_disk_is_refused_and_leaves_nothing(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    if os.geteuid() != 0 or subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", mount],
        capture_output=True,
    ).returncode:
        pytest.skip("cannot mount a small file system here")
    server = Server(mount)
    try:
        server.start()
        server.build("first", speech(1000, 64))
        with pytest.raises(grpc.RpcError) as error:
            server.build("second", speech(60_000, 64))
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert details_of(error.value)["reason"] == "DISK_FULL"
        wait_for(
            lambda: not list((mount / "data" / "staging").iterdir())
        )
        assert server.versions("second") == []
        server.search("first", speech(3, 64))
        server.build("third", speech(1000, 64))
    finally:
        server.stop()
        subprocess.run(["umount", "-l", mount], check=True)


def test_a_read_only_directory_is_explained(tmp_path):
    mount = tmp_path / "ro"
    mount.mkdir()
    if os.geteuid() != 0 or subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", mount],
        capture_output=True,
    ).returncode:
        pytest.skip("cannot mount a read-only file system here")
    try:
        run = subprocess.run(
            [BIN / "timbred", f"--data_dir={mount}", "--listen=127.0.0.1:0",
             "--metrics_listen="],
            capture_output=True, text=True,
        )
        assert run.returncode == 1
        assert "Read-only file system" in run.stderr
    finally:
        subprocess.run(["umount", "-l", mount], check=True)


def test_builds_wait_their_turn(new_server):
    server = new_server("--max_concurrent_builds=1")
    frames = speech(30_000, 64)
    stages = {}

    def build(name):
        _, progress = server.build(
            name, frames, chunk=10_000,
            index_factory="IVF500,PQ32x4fs,RFlat",
        )
        stages[name] = [p.stage for p in progress]

    threads = [
        threading.Thread(target=build, args=(f"turn{i}",)) for i in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stages) == 3
    queued = pb.BuildProgress.STAGE_QUEUED
    assert max(s.count(queued) for s in stages.values()) > 1


def test_memory_of_a_build_stays_below_twice_the_frames(new_server):
    server = new_server()
    before = peak_rss(server.process.pid)
    frames = speech(150_000, 256)
    server.build("memory", frames, chunk=4000)
    peak = peak_rss(server.process.pid)
    assert peak < 2 * frames.nbytes + 200e6, (before, peak)


def peak_rss(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError

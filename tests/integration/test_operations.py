"""What operators look at: health, metrics, reflection."""

import os
import pathlib
import queue
import shutil
import socket
import subprocess

import grpc
import pytest

from conftest import ROOT, pb, speech, to_frames, wait_for
from ops import HEALTH, health, scrape


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
        "timbre_queued_frames",
        "timbre_queued_bytes",
        "timbre_log_lines_dropped_total",
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


def test_a_watch_of_an_unknown_service_says_so(server):
    watch = server.channel.unary_stream(HEALTH + "Watch")(b"\x0a\x01x")
    assert next(watch) == b"\x08\x03"  # SERVICE_UNKNOWN
    watch.cancel()


@pytest.mark.parametrize("method", ["Check", "Watch"])
def test_health_wants_one_message_that_it_can_read(server, method):
    call = server.channel.stream_stream(HEALTH + method)
    for messages in [], [b"\xff\xff"], [b"\x0a\x01\xff"]:
        with pytest.raises(grpc.RpcError) as error:
            list(call(iter(messages)))
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert health(server) == 1


def reflect(server, version, *requests):
    return list(
        server.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        )(iter(requests))
    )


def test_reflection_answers_errors_and_reads_on(server):
    unknown, services = reflect(server, "v1", b"\x1a\x01x", b"\x3a\x00")
    assert b"x is not known" in unknown
    assert b"timbre.v1.Retrieval" in services
    with pytest.raises(grpc.RpcError) as error:
        reflect(server, "v1", b"\xff\xff")
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_the_services_and_has_the_contract(server, version):
    symbol = b"timbre.v1.Catalog"
    services, contract = reflect(
        server,
        version,
        b"\x3a\x00",  # list_services: ""
        b"\x22" + bytes([len(symbol)]) + symbol,  # file_containing_symbol
    )
    for service in (b"timbre.v1.Retrieval", symbol, b"grpc.health.v1.Health"):
        assert service in services
    assert b"timbre/v1/retrieval.proto" in contract


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
    subprocess.run(
        [grpcurl, "-plaintext", address, "describe"], check=True,
        stdout=subprocess.DEVNULL,
    )
    server.build("curl", speech(3))
    shown = subprocess.run(
        [grpcurl, "-plaintext", "-d", '{"speaker": "curl"}', address,
         "timbre.v1.Catalog/GetSpeaker"],
        capture_output=True, text=True, check=True,
    ).stdout
    assert '"activeVersion": "1"' in shown


def test_cancelled_calls_are_counted_as_such(new_server):
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

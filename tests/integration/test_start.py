"""Flags, addresses, and what keeps a server from starting."""

import subprocess

import grpc
import pytest

from conftest import BIN, Server, speech
from ops import health, scrape
from timbred import free_port


def test_a_second_server_on_the_directory_says_so(new_server, tmp_path):
    server = new_server()
    second = subprocess.run(
        [BIN / "timbred", f"--data_dir={server.directory / 'data'}",
         "--listen=127.0.0.1:0", "--metrics_listen="],
        capture_output=True, text=True,
    )
    assert second.returncode == 1
    assert "in use by another timbred" in second.stderr


def test_a_strangers_directory_is_refused_and_left_as_it_is(tmp_path):
    theirs = tmp_path / "releases"
    (theirs / "staging").mkdir(parents=True)
    (theirs / "staging/release.tar").write_text("precious")
    run = subprocess.run(
        [BIN / "timbred", f"--data_dir={theirs}", "--listen=127.0.0.1:0",
         "--metrics_listen="],
        capture_output=True, text=True,
    )
    assert run.returncode == 1
    assert "neither empty nor a data directory of Timbre" in run.stderr
    assert sorted(p.name for p in theirs.rglob("*")) == [
        "release.tar", "staging",
    ]


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
    assert run.returncode == 0


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


@pytest.mark.parametrize("port", ["0", "fixed"])
def test_metrics_on_every_address_are_there_for_ipv4(new_server, port):
    wanted = 0 if port == "0" else free_port()
    server = new_server(f"--metrics_listen=[::]:{wanted}")
    assert wanted in (0, server.metrics_port)
    assert "timbre_build_info" in scrape(server)

"""What the system does to the process: signals, descriptors, its log."""

import fcntl
import json
import os
import pty
import resource
import signal
import subprocess

import grpc
import pytest

from conftest import BIN, Server, speech, wait_for
from ops import health


def timbred(tmp_path, *flags, **options):
    return subprocess.run(
        [BIN / "timbred", f"--data_dir={tmp_path}/data",
         "--listen=127.0.0.1:0", "--metrics_listen=", *flags],
        capture_output=True, text=True, timeout=30, **options,
    )


def test_a_port_file_that_is_a_directory_is_refused_and_kept(tmp_path):
    directory = tmp_path / "precious"
    directory.mkdir()
    (directory / "file").write_text("mine")
    run = timbred(tmp_path, f"--port_file={directory}")
    assert run.returncode == 1
    assert "--port_file" in run.stderr and "must be" in run.stderr
    assert (directory / "file").read_text() == "mine"
    assert not (tmp_path / "data").exists()  # refused before anything


@pytest.mark.parametrize(
    "sig", [signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2]
)
def test_signals_of_tools_do_not_end_a_server_without_a_terminal(
    tmp_path, sig
):
    server = Server(tmp_path, popen={"start_new_session": True}).start()
    try:
        server.process.send_signal(sig)
        assert health(server) == 1
        server.build("alive", speech(5))
    finally:
        assert server.stop() == 0


def test_a_terminal_that_closes_drains_the_server(tmp_path):
    ready = tmp_path / "ports"
    pid, terminal = pty.fork()
    if pid == 0:
        with open(tmp_path / "log", "wb") as log:
            os.dup2(log.fileno(), 2)
        os.execv(
            BIN / "timbred",
            ["timbred", f"--data_dir={tmp_path}/data",
             "--listen=127.0.0.1:0", "--metrics_listen=",
             f"--port_file={ready}"],
        )
    wait_for(ready.exists)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert json.loads(last)["event"] == "stopped"
    assert not ready.exists()


def test_a_start_that_waits_for_the_disk_can_be_ended(tmp_path):
    data = tmp_path / "data"
    voice = data / "speakers" / "a" / "1"
    voice.mkdir(parents=True)
    (data / "FORMAT").write_text("timbre 1\n")
    os.mkfifo(voice / "manifest.json")  # a file that never answers
    process = subprocess.Popen(
        [BIN / "timbred", f"--data_dir={data}", "--listen=127.0.0.1:0",
         "--metrics_listen="],
        stderr=subprocess.PIPE, text=True,
    )
    try:
        assert json.loads(process.stderr.readline())["event"] == "syncing"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()


def test_what_nohup_ignores_stays_ignored(tmp_path):
    server = Server(
        tmp_path,
        within=("sh", "-c", """trap '' HUP; exec "$@" """, "sh"),
    ).start()
    try:
        server.process.send_signal(signal.SIGHUP)
        assert health(server) == 1
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("closed", [[2], [0, 1, 2]])
def test_a_closed_standard_error_gets_no_file_of_the_server(tmp_path, closed):
    close = " ".join(f"{fd}>&-" for fd in closed)
    server = Server(
        tmp_path, within=("sh", "-c", f'exec "$@" {close}', "sh")
    ).start()
    try:
        server.build("quiet", speech(5))
        with pytest.raises(grpc.RpcError):
            server.build("BAD NAME", speech(5))
        for fd in closed:
            target = os.readlink(f"/proc/{server.process.pid}/fd/{fd}")
            assert target == "/dev/null"
        assert (server.directory / "data" / "LOCK").read_bytes() == b""
    finally:
        assert server.stop() == 0


def test_a_log_that_nobody_reads_delays_nothing(tmp_path):
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    server = Server(
        tmp_path, "--drain_timeout=1s", popen={"stderr": writer}
    ).start()
    os.close(writer)
    try:
        for _ in range(120):
            with pytest.raises(grpc.RpcError) as error:
                server.build("BAD NAME", speech(2))
            assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        for number in range(1, 31):
            assert server.build("unread", speech(5))[0].version == number
        assert server.stop() == 0
    finally:
        os.close(reader)


def test_refused_builds_do_not_fill_the_log(tmp_path):
    server = Server(tmp_path).start()
    try:
        for _ in range(300):
            with pytest.raises(grpc.RpcError):
                server.build("BAD NAME", speech(2))
    finally:
        assert server.stop() == 0
    lines = [
        json.loads(line)
        for line in (tmp_path / "log").read_text().splitlines()
    ]
    ended = [line for line in lines if line["event"] == "build_ended"]
    assert 100 <= len(ended) < 300
    assert lines[-1]["event"] == "stopped"


def test_the_limit_of_descriptors_is_raised_to_the_hard_one(tmp_path):
    server = Server(
        tmp_path,
        within=("prlimit", "--nofile=256:1024"),
    ).start()
    try:
        limits = resource.prlimit(
            server.process.pid, resource.RLIMIT_NOFILE
        )
        assert limits == (1024, 1024)
    finally:
        assert server.stop() == 0

"""The command line where the way to the server is wrong, silent or diverted."""

import contextlib
import os
import socket
import subprocess
import time

import numpy as np
import pytest

from conftest import BIN

COMMANDS = (
    ("build", "x", "x.npy"),
    ("import", "x", "x.npy"),
    ("tune", "x", "x.npy"),
    ("search", "x", "x.npy"),
    ("blend", "x", "x.npy", "y.npy"),
    ("list",),
    ("show", "x"),
    ("activate", "x", "1"),
    ("delete", "x"),
    ("frames", "x", "y.npy"),
    ("export", "x", "y.index"),
    ("health",),
    ("load", "live", "--streams=1", "--duration=1s"),
)


@pytest.fixture
def run(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(8, dtype="f4"))

    def call(*arguments, code, env=None):
        done = subprocess.run(
            [BIN / "timbre", *map(str, arguments)],
            capture_output=True, text=True, cwd=tmp_path, timeout=30,
            env={"PATH": os.environ["PATH"], **(env or {})},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return call


@contextlib.contextmanager
def silent_port():
    """One that is listened at, and no more."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield "127.0.0.1:%d" % listener.getsockname()[1]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_every_command_gives_up_on_a_silent_port(run, command):
    with silent_port() as address:
        start = time.monotonic()
        done = run(
            *command, f"--server={address}", "--timeout=300ms", code=5
        )
        assert time.monotonic() - start < 10
    assert f"no connection to {address}" in done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_an_address_that_is_none_is_refused_at_once(run, command):
    done = run(*command, "--server=http://127.0.0.1:7400", code=3)
    assert (
        'server: "http://127.0.0.1:7400" is not accepted; must be HOST:PORT,'
        " [IPV6]:PORT or unix:PATH" in done.stderr
    )


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:99999", "127.0.0.1:0", "127.0.0.1:-1", "127.0.0.1", ":7400",
     " 127.0.0.1:7400", "127.0.0.1:7400 ", '"127.0.0.1:7400"', "unix:"],
)
def test_addresses_of_the_environment_are_read_alike(run, address):
    done = run("list", code=3, env={"TIMBRE_SERVER": address})
    assert "must be HOST:PORT" in done.stderr


def test_a_timeout_takes_units_and_plain_seconds(run):
    with silent_port() as address:
        for timeout in ("0.1", "100ms"):
            run("health", f"--server={address}", f"--timeout={timeout}", code=5)
    for timeout in ("", "soon", "0", "-1s", "1ms", "25h", "nan", "inf"):
        refused = run("health", f"--timeout={timeout}", code=2)
        assert "--timeout" in refused.stderr
    for command in COMMANDS:
        told = run(*command[:2] if command[0] == "load" else command[:1],
                   "--help", code=0)
        assert "--timeout" in told.stdout and "; default " in told.stdout


def test_no_proxy_leads_to_loopback(run, server):
    proxies = {
        name: "http://127.0.0.1:9"
        for name in ("http_proxy", "https_proxy", "grpc_proxy")
    }
    for address in (f"127.0.0.1:{server.port}", f"localhost:{server.port}"):
        run("list", f"--server={address}", code=0, env=proxies)


def test_elsewhere_an_error_names_the_proxy_of_the_environment(run):
    away = ("list", "--server=voices.invalid:7400", "--timeout=3s")
    proxy = {"http_proxy": "http://user:secret@127.0.0.1:9"}
    told = run(*away, code=5, env=proxy).stderr
    assert "the proxy http://127.0.0.1:9 (http_proxy)" in told
    assert "secret" not in told
    told = run(*away, code=5, env={**proxy, "no_proxy": "invalid"}).stderr
    assert "the proxy" not in told

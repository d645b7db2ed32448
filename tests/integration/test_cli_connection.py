"""The command line where the way to the server is wrong, silent or diverted."""

import contextlib
import os
import shutil
import socket
import subprocess
import time

import numpy as np
import pytest

from conftest import BIN, wait_for

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
    ("warm", "x", "y"),
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


HAPROXY = """
defaults
 mode http
 timeout connect 2s
 timeout client 20s
 timeout server 20s
frontend front
 bind 127.0.0.1:{front} proto h2
 default_backend back
backend back
 server only 127.0.0.1:{back} proto h2
"""
NGINX = """
daemon off; pid {d}/pid; error_log {d}/log; events {{}}
http {{
 access_log off; client_body_temp_path {d}/1; proxy_temp_path {d}/2;
 fastcgi_temp_path {d}/3; uwsgi_temp_path {d}/4; scgi_temp_path {d}/5;
 server {{
  listen 127.0.0.1:{front} http2;
  location / {{ grpc_pass grpc://127.0.0.1:{back}; }}
 }}
}}
"""


@contextlib.contextmanager
def proxy(program, settings, directory, back):
    """With its defaults; yields its address."""
    command = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")
    if not command:
        pytest.skip(f"no {program} here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        front = free.getsockname()[1]
    path = directory / f"{program}.conf"
    path.write_text(settings.format(front=front, back=back, d=directory))
    flags = {"haproxy": ["-db", "-f", path],
             "nginx": ["-c", path, "-e", directory / "log"]}[program]
    running = subprocess.Popen(
        [command, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def listens():
        with socket.socket() as there:
            return there.connect_ex(("127.0.0.1", front)) == 0

    try:
        wait_for(listens)
        yield f"127.0.0.1:{front}"
    finally:
        running.terminate()
        running.wait()


def test_behind_haproxy_a_refusal_keeps_its_code(run, server, tmp_path):
    np.save(tmp_path / "large.npy", np.ones((3000, 768), "f4"))
    with proxy("haproxy", HAPROXY, tmp_path, server.port) as address:
        to = f"--server={address}"
        for _ in range(5):  # each is refused while it is still sending
            told = run("build", "BAD NAME", "large.npy", to, code=3)
            assert "BAD NAME" in told.stderr
            for command in (("blend", "nobody", "large.npy", "y.npy"),
                            ("search", "nobody", "large.npy"),
                            ("tune", "nobody", "large.npy")):
                assert "nobody" in run(*command, to, code=4).stderr


def test_a_body_limit_of_nginx_is_named(run, server, tmp_path):
    np.save(tmp_path / "large.npy", np.ones((3000, 768), "f4"))
    with proxy("nginx", NGINX, tmp_path, server.port) as address:
        told = run("build", "x", "large.npy", f"--server={address}", code=5)
        assert "client_max_body_size" in told.stderr


@pytest.mark.parametrize(
    "program, settings", [("nginx", NGINX), ("haproxy", HAPROXY)],
    ids=["nginx", "haproxy"],
)
def test_a_proxy_without_a_server_is_told_from_no_answer(
    run, tmp_path, program, settings
):
    with socket.socket() as nobody:  # bound, and not listened at
        nobody.bind(("127.0.0.1", 0))
        back = nobody.getsockname()[1]
        with proxy(program, settings, tmp_path, back) as address:
            told = run("list", f"--server={address}", code=5).stderr
    assert told.startswith("timbre: a proxy in between reaches no server")

"""What cannot become right is said at once, and proxies are named."""

import os
import subprocess
import sys

import pytest
import timbre
from timbre._address import parse, proxy_of


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "localhost", "127.0.0.1", "http://x:7400", "https://x:7400/",
        "x:", ":7400", "x:0", "x:-1", "x:65536", "x:99999", "x:http", "x:7400 ",
        " x:7400", "x: 7400", "'x:7400'", '"x:7400"', "x:7400\n", "::1:7400",
        "[::1]", "[::1:7400", "[x]:7400", "[1:2]:7400", "unix:", "x:7400/y",
        "a,b:7400", "x:\u0667\u0664", "dns:///x:99999",
    ],
)
def test_other_addresses_are_refused_at_once(text):
    with pytest.raises(timbre.InvalidArgument) as caught:
        timbre.Client(text)
    said = "is not accepted; must be HOST:PORT, [IPV6]:PORT or unix:PATH"
    assert str(caught.value).endswith(said)
    assert caught.value.field == "server"


def test_a_refusal_shows_what_was_given(monkeypatch):
    with pytest.raises(timbre.InvalidArgument, match='server: "http://x:7400"'):
        timbre.Client("http://x:7400")
    monkeypatch.setenv("TIMBRE_SERVER", "nowhere")
    with pytest.raises(timbre.InvalidArgument, match='"nowhere"'):
        timbre.AsyncClient()


@pytest.mark.parametrize(
    "text, local",
    [
        ("127.0.0.1:7400", True), ("127.9.9.9:1", True), ("[::1]:7400", True),
        ("localhost:7400", True), ("unix:/tmp/x", True), ("unix:x", True),
        ("unix:///tmp/x", True), ("unix-abstract:x", True),
        ("[::ffff:127.0.0.1]:7400", True), ("dns:///localhost:7400", True),
        ("ipv4:127.0.0.1:7400", True), ("10.0.0.1:7400", False),
        ("voices.example:65535", False), ("my_host:7400", False),
        ("[2001:db8::1]:7400", False), ("[fe80::1%eth0]:7400", False),
        ("dns:///voices.example:7400", False),
        ("ipv6:[2001:db8::1]:7400", False),
        ("ipv4:10.0.0.1:7400,127.0.0.1:7400", False),
    ],
)
def test_what_grpc_takes_is_taken(text, local):
    timbre.Client(text).close()
    assert parse(text).local == local


@pytest.mark.parametrize(
    "environment, named",
    [
        ({}, ""),
        ({"http_proxy": "http://p:3128"}, "http://p:3128 (http_proxy)"),
        ({"http_proxy": "http://me:secret@p:1/"}, "http://p:1 (http_proxy)"),
        (
            {"http_proxy": "http://p:1", "grpc_proxy": "http://q:2"},
            "http://q:2 (grpc_proxy)",
        ),
        ({"https_proxy": "socks5://p:1", "http_proxy": "http://p:1"}, ""),
        ({"http_proxy": "http://p:1", "no_proxy": "a,.example"}, ""),
        (
            {"http_proxy": "http://p:1", "no_proxy": "a, other"},
            "http://p:1 (http_proxy)",
        ),
        (
            {
                "http_proxy": "http://p:1",
                "no_proxy": ".example",
                "no_grpc_proxy": "x",
            },
            "http://p:1 (http_proxy)",
        ),
    ],
)
def test_a_proxy_is_found_as_grpc_finds_it(environment, named):
    assert proxy_of(parse("voices.example:7400"), environment) == named
    assert proxy_of(parse("localhost:7400"), environment) == ""


CODE = """
import sys, timbre
with timbre.Client(sys.argv[1], timeout_s=float(sys.argv[2])) as client:
    client.server_info()
"""


def run(address, timeout_s):
    return subprocess.run(
        [sys.executable, "-c", CODE, address, str(timeout_s)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "http_proxy": "http://user:secret@127.0.0.1:1",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_this_machine_is_reached_without_the_proxy(server):
    done = run(server.address, 20)
    assert done.returncode == 0, done.stderr


def test_elsewhere_the_error_names_the_proxy():
    done = run("voices.example:7400", 0.5)
    assert "the proxy http://127.0.0.1:1 (http_proxy)" in done.stderr
    assert "secret" not in done.stderr

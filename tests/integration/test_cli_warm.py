"""timbre warm, and what the command line says of open voices."""

import json
import os
import re
import subprocess

import pytest

from conftest import BIN, speech


@pytest.fixture
def run(new_server):
    """`timbre` at a server with two voices, the second of two versions, none of
    which is open."""
    server = new_server()
    server.build("warm-a", speech(500))
    for seed in (1, 2):
        server.build("warm-b", speech(500, seed=seed))
    server.stop()
    server.start()

    def call(*arguments, code=0):
        done = subprocess.run(
            [BIN / "timbre", *arguments], capture_output=True, text=True,
            env={
                "PATH": os.environ["PATH"], "TIMBRE_SERVER": server.address
            },
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return call


def open_versions(run, speaker):
    shown = json.loads(run("show", speaker, "--json").stdout)
    return {v["version"] for v in shown["versions"] if v["loaded"]}


def test_warm_opens_the_active_versions_and_says_which(run):
    assert re.findall(r"^(\S+) .* (yes|no) ", run("list").stdout, re.M) == [
        ("warm-a", "no"), ("warm-b", "no")
    ]
    lines = run("warm", "warm-b", "warm-a").stdout.splitlines()
    assert [re.sub(r"[\d.]+ ms", "T ms", line) for line in lines] == [
        "warm-b: version 2, T ms", "warm-a: version 1, T ms"
    ]
    assert open_versions(run, "warm-a") == {1}
    assert open_versions(run, "warm-b") == {2}
    assert re.findall(r"^(\S+) .* (yes|no) ", run("list").stdout, re.M) == [
        ("warm-a", "yes"), ("warm-b", "yes")
    ]


def test_warm_takes_a_version_of_one_voice(run):
    assert "version 1," in run("warm", "warm-b", "--version=1").stdout
    refused = run("warm", "warm-a", "warm-b", "--version=1", code=3)
    assert "--version" in refused.stderr
    assert run("warm", "warm-b", "--version=9", code=4).stdout == ""


def test_warm_goes_on_after_a_failure_and_exits_with_the_first(run):
    names = ("warm-a", "nobody", "Nobody", "warm-b")
    done = run("warm", *names, code=4)
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "warm-a", "warm-b"
    ]
    assert "nobody" in done.stderr and "Nobody" in done.stderr
    assert run("warm", "Nobody", "nobody", "--at_once=1", code=3)
    told = json.loads(run("warm", *names, "--json", code=4).stdout)
    assert [one["speaker"] for one in told] == list(names)
    assert [one.get("version") for one in told] == [1, None, None, 2]
    for field in ("error", "code", "reason"):
        assert all((field in one) == ("version" not in one) for one in told)
    assert [(one["code"], one["reason"]) for one in told[1:3]] == [
        ("NOT_FOUND", "SPEAKER_NOT_FOUND"),
        ("INVALID_ARGUMENT", "INVALID_FIELD"),
    ]
    assert all(one["milliseconds"] > 0 for one in told)


def test_warm_takes_more_voices_than_it_opens_at_a_time(run):
    names = ["warm-a", "warm-b"] * 20
    for at_once in (1, 3, 64):
        out = run("warm", *names, f"--at_once={at_once}").stdout
        assert [line.split(":")[0] for line in out.splitlines()] == names
    run("warm", "warm-a", "--at_once=0", code=2)
    run("warm", code=2)


def test_health_says_what_open_voices_hold(run):
    text = run("health").stdout
    for name in ("open voices take", "they may take", "open versions"):
        assert name in text
    told = json.loads(run("health", "--json").stdout)
    for name in ("resident_bytes", "max_resident_bytes", "open_versions"):
        assert isinstance(told[name], int)
    if told["max_resident_bytes"] == 0:
        assert re.search(r"they may take +unlimited", text)

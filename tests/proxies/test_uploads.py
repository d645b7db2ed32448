"""Builds, tunes and refusals through proxies."""

import re

import numpy as np
import pytest
from conftest import run_timbre, speech

import timbre


@pytest.fixture
def name(request, direct):
    """Of a voice of the test's own."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name)[-60:].strip("-")
    yield name
    try:
        direct.delete_speaker(name)
    except timbre.NotFound:
        pass


def test_builds_and_tunes_of_python(proxy, client, direct, name):
    frames = speech(300 if proxy.limits_bodies else 800, 768)
    built = client.build(name, frames, index_factory="Flat")
    assert built.frames == len(frames)
    np.testing.assert_array_equal(direct.speaker(name).frames(), frames)
    assert client.tune(name, frames[:200], apply=False).operating_points


def test_builds_of_the_command_line(proxy, direct, name, tmp_path):
    frames = speech(300 if proxy.limits_bodies else 800, 768)
    np.save(tmp_path / "x.npy", frames)
    done = run_timbre(proxy, "build", name, "x.npy", "--index_factory=Flat",
                      cwd=tmp_path)
    assert f"{len(frames)} frames of 768" in done.stdout
    np.testing.assert_array_equal(direct.speaker(name).frames(), frames)
    np.save(tmp_path / "q.npy", frames[:200])
    run_timbre(proxy, "tune", name, "q.npy", cwd=tmp_path)
    run_timbre(proxy, "delete", name)


def test_a_refusal_while_the_client_still_sends(proxy, client):
    """The server says so after the first message, the client sends on."""
    if proxy.limits_bodies:
        pytest.skip("nginx itself refuses what is large enough for this")
    frames = speech(3000, 768)
    for _ in range(10):
        with pytest.raises(timbre.InvalidArgument, match="BAD NAME") as caught:
            client.build("BAD NAME", frames)
        assert caught.value.field.endswith("speaker")


def test_a_refusal_of_the_command_line_while_it_sends(proxy, tmp_path):
    if proxy.limits_bodies:
        pytest.skip("nginx itself refuses what is large enough for this")
    np.save(tmp_path / "x.npy", speech(3000, 768))
    for _ in range(5):
        done = run_timbre(proxy, "build", "BAD NAME", "x.npy", code=3,
                          cwd=tmp_path)
        assert "BAD NAME" in done.stderr and "must be" in done.stderr


def test_refusals_of_unary_calls(proxy, client):
    with pytest.raises(timbre.NotFound) as caught:
        client.speaker("nobody")
    assert caught.value.reason == "SPEAKER_NOT_FOUND"
    run_timbre(proxy, "show", "nobody", code=4)


def test_a_refusal_in_the_middle_of_a_stream(client, voices):
    voice = client.speaker(voices[256])
    with pytest.raises(timbre.InvalidArgument, match="k"):
        voice.search(speech(100, 256), k=5000)
    voice.search(speech(100, 256), k=5)


def test_larger_bodies_than_nginx_takes_are_called_that(
    proxy, voices, name, tmp_path
):
    if not proxy.limits_bodies:
        pytest.skip("has no such limit")
    frames = speech(1000, 768)
    np.save(tmp_path / "x.npy", frames)
    cause = "client_max_body_size"
    for arguments in (("build", name, "x.npy"),
                      ("blend", voices[768], "x.npy", "out.npy")):
        done = run_timbre(proxy, *arguments, code=5, cwd=tmp_path)
        assert cause in done.stderr
    with timbre.Client(proxy.address, timeout_s=1) as client:
        with pytest.raises(timbre.Error, match=cause):
            client.build(name, frames)
        with pytest.raises(timbre.Error, match=cause):
            client.tune(voices[768], frames)
        voice = client.speaker(voices[768])
        with pytest.raises(timbre.Error, match=cause):
            voice.blend(frames)

"""Live and offline conversions through proxies: the answers are those of a
server with nobody in between."""

import concurrent.futures
import json
import threading

import grpc
import numpy as np
import pytest
from conftest import DIMENSIONS, run_timbre, speech

from timbre import _contract

OFFLINE = (600, 1600, 4300)
MOST_AHEAD = 4 << 20  # doc/operations.md, "Behind a proxy"


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_live_blocks(client, direct, voices, dimension):
    frames = speech(16 * 50, dimension, seed=1)
    voice = client.speaker(voices[dimension], dimension=dimension)
    expected = direct.speaker(voices[dimension]).blend(frames)
    for first in range(0, len(frames), 16):
        block = slice(first, first + 16)
        np.testing.assert_array_equal(
            voice.blend(frames[block]), expected[block]
        )


def test_offline_files_of_many_threads(proxy, client, direct, voices):
    """Messages of 1 MiB, pipelined on streams that share a connection."""
    if proxy.limits_bodies:
        pytest.skip("takes no message of that size")
    voice = client.speaker(voices[768], dimension=768)
    frames = speech(max(OFFLINE), 768, seed=2)
    expected = direct.speaker(voices[768]).blend(frames)

    def convert(count):
        np.testing.assert_array_equal(
            voice.blend(frames[:count]), expected[:count]
        )

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        list(threads.map(convert, OFFLINE * 8))


def test_offline_files_of_the_command_line(
    proxy, direct, voices, tmp_path
):
    frames = speech(100 if proxy.limits_bodies else 1600, 768, seed=3)
    np.save(tmp_path / "in.npy", frames)
    run_timbre(proxy, "blend", voices[768], "in.npy", "out.npy", cwd=tmp_path)
    np.testing.assert_array_equal(
        np.load(tmp_path / "out.npy"),
        direct.speaker(voices[768]).blend(frames),
    )


def test_a_long_file_of_the_command_line(proxy, voices, tmp_path):
    if proxy.limits_bodies:
        pytest.skip("takes no stream of that size")
    frames = speech(15_000, 768)  # 44 MiB, in one stream
    np.save(tmp_path / "long.npy", frames)
    run_timbre(proxy, "blend", voices[768], "long.npy", "out.npy",
               "--timeout=10s", cwd=tmp_path)
    assert np.load(tmp_path / "out.npy").shape == frames.shape


def blend_by_plain_grpc(address, speaker, frames, rows):
    """What a client does that knows the contract and nothing more."""
    unlimited = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(address, options=unlimited) as channel:
        blend = channel.stream_stream(
            _contract.BLEND,
            request_serializer=_contract.BlendRequest.SerializeToString,
            response_deserializer=_contract.BlendResponse.FromString,
        )

        # More than two messages and 4 MiB without an answer would be too much
        # for HAProxy.
        row_bytes = frames[0].nbytes
        ahead = threading.Semaphore(max(2, MOST_AHEAD // (rows * row_bytes)))

        def requests():
            for first in range(0, len(frames), rows):
                ahead.acquire()
                block = _contract.Frames(
                    data=frames[first : first + rows].tobytes(),
                    dimension=frames.shape[1],
                )
                yield _contract.BlendRequest(speaker=speaker, frames=block)

        mixed = b""
        for answer in (answers := blend(requests(), timeout=30)):
            ahead.release()
            mixed += answer.frames.data
        assert answers.code() == grpc.StatusCode.OK
    return np.frombuffer(mixed, "f4").reshape(frames.shape)


@pytest.mark.parametrize("rows", [16, 1300], ids="{}_frames".format)
def test_streams_of_one_connection_do_not_wait_for_each_other(
    proxy, direct, voices, rows
):
    """Messages on their way to proxies that buffer less than one."""
    if proxy.limits_bodies and rows > 16:
        pytest.skip("takes no stream of that size")
    frames = speech(3 * rows, 768, seed=4)
    expected = direct.speaker(voices[768]).blend(frames)
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        for mixed in threads.map(
            lambda _: blend_by_plain_grpc(
                proxy.address, voices[768], frames, rows
            ),
            range(16),
        ):
            np.testing.assert_array_equal(mixed, expected)


def test_timbre_load_live(proxy, voices, tmp_path):
    """100 live streams, whose sampled answers it compares itself."""
    run_timbre(
        proxy, "load", "live", "--streams=100", "--frames=16",
        "--period=250ms", "--warm_up=100ms", "--duration=1s",
        "--speaker=" + voices[256], "--json=report.json", cwd=tmp_path,
    )
    report = json.loads((tmp_path / "report.json").read_text())
    (group,) = report["phases"][0]["groups"]
    assert group["answered"] >= 350
    assert group["failed"] == {}
    assert group["checked"] > 0 and group["wrong"] == 0


def test_stored_frames_come_back(client, voices):
    np.testing.assert_array_equal(
        client.speaker(voices[256]).frames(), speech(1000, 256)
    )


def test_unary_calls_of_the_command_line(proxy):
    """Answered as soon as the request is there: HAProxy resets what is
    answered before it has ended."""
    for _ in range(20):
        assert run_timbre(proxy, "health").stdout.strip()


def test_more_streams_than_a_connection_has(client, voices):
    """Kept by a worker for its voices. nginx: 128, HAProxy and Envoy: 100."""
    frames = speech(4, 256)
    kept = [client.speaker(voices[256]) for _ in range(135)]
    first = kept[0].blend(frames)
    for voice in kept + kept:
        np.testing.assert_array_equal(voice.blend(frames), first)

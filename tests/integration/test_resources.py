"""Disk, memory and builders: what there is too little of."""

import concurrent.futures
import os
import queue
import subprocess
import threading
import time

import grpc
import pytest

from conftest import (
    BIN, Server, build_requests, details_of, pb, speech, to_frames, wait_for,
)
from ops import peak_rss, rss


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


def limited(directory, what, most):
    """A server of which `what` (prlimit's word for it) is limited."""
    return Server(directory, within=("prlimit", f"--{what}={most}"))


def test_a_file_size_limit_ends_a_build_and_not_the_server(tmp_path):
    server = limited(tmp_path, "fsize", 1 << 20).start()
    try:
        process = server.process.pid
        server.build("first", speech(1000, 64))
        for _ in range(3):
            with pytest.raises(grpc.RpcError) as error:
                server.build("second", speech(10_000, 64))
            assert (
                error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            ), error.value
            assert details_of(error.value)["reason"] == "DISK_FULL"
            assert "1048576 (RLIMIT_FSIZE)" in error.value.details()
        wait_for(
            lambda: not list((tmp_path / "data" / "staging").iterdir())
        )
        assert server.versions("second") == []
        server.search("first", speech(3, 64))
        server.build("third", speech(1000, 64))
        assert server.process.pid == process
    finally:
        assert server.stop() == 0


def test_open_voices_need_no_descriptors(tmp_path):
    limit = 128
    server = limited(tmp_path, "nofile", limit).start()
    try:
        frames = speech(3, 64)
        for i in range(limit + 20):
            server.build(f"v{i}", frames)
        descriptors = f"/proc/{server.process.pid}/fd"
        assert len(os.listdir(descriptors)) < limit / 2
        server.stop()
        server.start()
        for i in range(limit + 20):
            server.search(f"v{i}", frames)
    finally:
        server.stop()


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
    # Takes many times as long as it takes to be told twice.
    first = server.build_until_training("first", nlist=30_000)
    frames = speech(30_000, 64)
    waiting = [
        server.retrieval.Build(
            build_requests(
                f"turn{i}", frames, 10_000,
                index_factory="IVF500,PQ32x4fs,RFlat",
            )
        )
        for i in range(3)
    ]
    stages = pb.BuildProgress.Stage
    for call in waiting:
        # Told when it is queued, and again while it waits.
        seen = []
        while seen.count(stages.STAGE_QUEUED) < 2:
            seen.append(next(call).progress.stage)
        assert set(seen) <= {stages.STAGE_RECEIVING, stages.STAGE_QUEUED}
    assert first.is_active()
    first.cancel()
    for call in waiting:
        assert list(call)[-1].version.version == 1


def test_streams_that_wait_keep_no_large_messages(new_server):
    server = new_server("--worker_threads=1")
    server.build("waits", speech(20, 64))
    request = pb.BlendRequest(
        speaker="waits", frames=to_frames(speech(30_000, 64))  # 7.7 MB
    )
    waiting = []
    for streams in range(40):
        requests = queue.Queue()
        requests.put(request)
        stream = server.retrieval.Blend(iter(requests.get, None))
        next(stream)
        waiting.append((requests, stream))
        if streams == 4:  # everything is in use that one at a time needs
            before = rss(server.process.pid)
    # The last 35 would have kept their message and its answer.
    assert rss(server.process.pid) - before < 35 * 7.7e6
    for requests, stream in waiting:
        requests.put(None)
        assert list(stream) == []


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_memory_of_large_messages_is_given_back(new_server, busy):
    server = new_server(
        "--worker_threads=3", "--max_queued_frames=0", "--max_queued_bytes=0"
    )
    server.build("large", speech(20, 64))
    frames = speech(230_000, 64)  # 59 MB
    server.blend("large", frames[:2000])
    before = rss(server.process.pid)
    done = threading.Event()

    def live():  # the workers are never idle for long
        while not done.is_set():
            server.blend("large", frames[:16])

    other = threading.Thread(target=live)
    if busy:
        other.start()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: server.blend("large", frames), range(2)))
    last = time.monotonic()
    wait_for(lambda: rss(server.process.pid) - before < 64 << 20)
    assert time.monotonic() - last < 5
    done.set()
    if busy:
        other.join()
    # And a build's, which other threads receive.
    server.build("larger", frames, chunk=len(frames), index_factory="Flat")
    wait_for(lambda: rss(server.process.pid) - before < 64 << 20)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reduce_to_centroids": 200},
        {
            "metric": pb.METRIC_COSINE,
            "index_factory": "IVF256,PQ64x4fs,RFlat",
        },
    ],
)
def test_memory_of_a_build_stays_below_twice_the_frames(new_server, options):
    server = new_server()
    before = peak_rss(server.process.pid)
    frames = speech(150_000, 256)
    server.build("memory", frames, chunk=4000, **options)
    peak = peak_rss(server.process.pid)
    assert peak < 2 * frames.nbytes + 200e6, (before, peak)

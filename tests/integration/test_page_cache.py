"""Which frames stay in the page cache where there is too little of it."""

import ctypes
import mmap
import os
import shutil

import numpy as np
import pytest
from conftest import pb, speech, to_frames
from memory_cgroup import memory_cgroup

FRAMES, DIMENSION = 16_000, 256  # 16 MB
HOT, OTHERS = 4, 20
LIMIT = 132 << 20  # the hot ones, two of the others, and the server
PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)


def drop(path):
    """From the page cache, so that whoever reads it next is charged for it."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def resident(path):
    """The share of its pages that are in memory."""
    with open(path, "rb") as file:
        with mmap.mmap(
            file.fileno(), 0, flags=mmap.MAP_PRIVATE,
            prot=mmap.PROT_READ | mmap.PROT_WRITE,
        ) as mapped:
            pages = (len(mapped) + PAGE - 1) // PAGE
            found = (ctypes.c_ubyte * pages)()
            first = ctypes.byref(ctypes.c_char.from_buffer(mapped))
            assert libc.mincore(first, ctypes.c_size_t(len(mapped)), found) == 0
            del first
            return sum(byte & 1 for byte in found) / pages


def make_voices(data):
    """Copies of one voice, of which none is in the page cache."""
    speakers = data / "speakers"
    for i in range(HOT + OTHERS):
        shutil.copytree(speakers / "original", speakers / f"v{i}")
        manifest = speakers / f"v{i}" / "1" / "manifest.json"
        text = manifest.read_text()
        manifest.write_text(text.replace('"original"', f'"v{i}"', 1))
    shutil.rmtree(speakers / "original")
    os.sync()
    for path in speakers.glob("*/1/*"):
        drop(path)


def test_a_sweep_leaves_the_frames_of_hot_voices_in_memory(
    new_server, tmp_path
):
    server = new_server()
    # What float16 cannot hold: two bytes more a number.
    frames = speech(FRAMES, DIMENSION, seed=1) * np.float32(1.0001)
    server.build("original", frames, chunk=4000)
    budget = 5 * server.catalog.GetServerInfo(
        pb.GetServerInfoRequest()
    ).resident_bytes
    assert server.stop() == 0
    make_voices(tmp_path / "data")
    with memory_cgroup(LIMIT) as within:
        if within is None:
            pytest.skip("no cgroup with a memory limit can be made here")
        server.within = within
        server.flags = (*server.flags, f"--max_resident_bytes={budget}")
        server.start()
        try:
            sweep(server, frames)
            shares = [
                resident(tmp_path / "data" / "speakers" / f"v{i}" / "1"
                         / "total_fea.npy")
                for i in range(HOT + OTHERS)
            ]
        finally:
            server.stop()
    assert min(shares[:HOT]) > 0.95, shares


def sweep(server, frames):
    request = to_frames(frames[::20])

    def use(i):
        (_,) = server.retrieval.Search(
            iter([pb.SearchRequest(speaker=f"v{i}", frames=request)])
        )

    for i in 2 * list(range(HOT)):
        use(i)
    for round in range(2):
        for other in range(HOT, HOT + OTHERS):
            use(other)
            use(other % HOT)

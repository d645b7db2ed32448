"""Fixtures for the Python package: a real timbred, and clients of it.

Run by `ctest -R python` or script/test, with the package from client/python;
by tests/python/ends with the installed one and the oldest and the newest
libraries that it promises.
"""

import pathlib
import signal
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from features import exact, speech  # noqa: E402, F401
from timbred import BIN, Timbred, wait_for  # noqa: E402, F401

import timbre  # noqa: E402

DIMENSION = 32


def rvc(frames, rows, distances, ids, rate):
    """RVC's formula; an exact match, where it gives NaN, takes all weight."""
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.square(1 / distances.astype("f8"))
    exact_match = distances == 0
    some = exact_match.any(axis=1)
    weights[some] = exact_match[some]
    weights[ids < 0] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    mixed = (rows[ids].astype("f8") * weights[:, :, None]).sum(axis=1)
    return rate * mixed + (1 - rate) * frames.astype("f8")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server that tests share; each uses speakers of its own."""
    running = Timbred(tmp_path_factory.mktemp("shared")).start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def new_server(tmp_path):
    """Makes servers of one's own."""
    made = []

    def make(*flags, **kwargs):
        directory = tmp_path / f"server{len(made)}"
        directory.mkdir()
        running = Timbred(directory, *flags, **kwargs).start()
        made.append(running)
        return running

    yield make
    for running in made:
        running.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def client(server):
    with timbre.Client(server.address) as made:
        yield made


@pytest.fixture(scope="session")
def alice(client):
    """The stored frames of the speaker `alice`."""
    frames = speech(3000, DIMENSION)
    client.build("alice", frames, index_factory="IVF16,PQ16x4fs,RFlat")
    return frames


@pytest.fixture(scope="session")
def queries():
    return speech(400, DIMENSION, seed=1) + np.float32(0.0625)


@pytest.fixture
def voice(client, alice):
    with client.speaker("alice") as made:
        yield made

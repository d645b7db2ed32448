"""Real proxies between real clients and a real timbred.

Run by `ctest -R proxies` or script/test; TIMBRE_BIN names the directory of the
binaries (default build/bin). A proxy that cannot be had here is skipped.
"""

import pathlib
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
sys.path.insert(0, str(ROOT / "client" / "python"))

from features import speech  # noqa: E402, F401
from proxies import KINDS, Settings  # noqa: E402
from timbred import BIN, Timbred, wait_for  # noqa: E402, F401

import timbre  # noqa: E402

DIMENSIONS = (256, 768)


class Server(Timbred):
    """Comes back at the address that it had first."""

    def start(self):
        super().start()
        self.listen = self.address
        return self


def _made(make_directory, kind, server, settings, changes=()):
    if KINDS[kind].program() is None:
        pytest.skip(f"{kind} is not to be had here")
    return KINDS[kind](make_directory(kind), server, settings, changes).start()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server that tests share; each uses speakers of its own."""
    running = Server(tmp_path_factory.mktemp("server")).start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def direct(server):
    """A client of the shared server with nobody in between."""
    with timbre.Client(server.address) as made:
        yield made


@pytest.fixture(scope="session")
def voices(direct):
    """Dimension -> the name of a voice of the shared server."""
    for dimension in DIMENSIONS:
        direct.build(f"voice{dimension}", speech(1000, dimension),
                     index_factory="Flat")
    return {dimension: f"voice{dimension}" for dimension in DIMENSIONS}


@pytest.fixture(scope="session", params=list(KINDS))
def kind(request):
    return request.param


@pytest.fixture(
    scope="session", params=list(Settings), ids=lambda each: each.value
)
def proxy(request, kind, server, tmp_path_factory):
    """In front of the shared server; never restarted."""
    made = _made(tmp_path_factory.mktemp, kind, server, request.param)
    yield made
    made.stop()


@pytest.fixture
def client(proxy):
    """Of the shared proxy."""
    with timbre.Client(proxy.address, timeout_s=20) as made:
        yield made


@pytest.fixture
def pair(kind, tmp_path):
    """Makes a server of one's own with a proxy of one's own before it."""
    made = []

    def directory(name):
        path = tmp_path / f"{name}{len(made)}"
        path.mkdir()
        return path

    def make(settings=Settings.DOCUMENTED, *flags, changes=()):
        server = Server(directory("server"), *flags).start()
        made.append(lambda: server.stop(signal.SIGKILL))
        proxy = _made(directory, kind, server, settings, changes)
        made.append(proxy.stop)
        return server, proxy

    yield make
    for stop in reversed(made):
        stop()


def run_timbre(proxy, *arguments, code=0, cwd=None):
    """The command line through a proxy."""
    done = subprocess.run(
        [BIN / "timbre", *map(str, arguments), f"--server={proxy.address}"],
        capture_output=True, text=True, timeout=60, cwd=cwd,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done

"""Every call ends where a server accepts and says nothing."""

import asyncio
import socket
import threading
import time

import numpy as np
import pytest
import timbre
from conftest import DIMENSION, speech

h2_config = pytest.importorskip("h2.config")
h2_connection = pytest.importorskip("h2.connection")

FRAMES = np.ones((100, DIMENSION), "f4")
CALLS = {
    "build": lambda c: c.build("alice", FRAMES),
    "build of much": lambda c: c.build("alice", np.tile(FRAMES, (900, 1))),
    "build of what is read once": lambda c: c.build("alice", iter([FRAMES])),
    "tune": lambda c: c.tune("alice", FRAMES),
    "warm": lambda c: c.warm("alice"),
    "server_info": lambda c: c.server_info(),
}


class Silent:
    """Accepts; with `http2` it also speaks that, pings included, but answers
    no call."""

    def __init__(self, http2):
        self._http2 = http2
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._ends = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                end, _ = self._listener.accept()
            except OSError:
                return
            self._ends.append(end)
            if self._http2:
                threading.Thread(
                    target=self._listen, args=(end,), daemon=True
                ).start()

    def _listen(self, end):
        connection = h2_connection.H2Connection(
            h2_config.H2Configuration(client_side=False)
        )
        connection.initiate_connection()
        try:
            end.sendall(connection.data_to_send())
            while data := end.recv(1 << 16):
                connection.receive_data(data)
                end.sendall(connection.data_to_send())
        except OSError:
            pass

    def close(self):
        self._listener.close()
        for end in self._ends:
            end.close()


@pytest.fixture(params=["tcp", "http2"])
def silent(request):
    made = Silent(request.param == "http2")
    yield made
    made.close()


@pytest.mark.parametrize("name", CALLS)
def test_silence_ends_at_the_timeout(silent, name):
    with timbre.Client(silent.address, timeout_s=0.5) as client:
        start = time.monotonic()
        with pytest.raises(timbre.Unavailable):
            CALLS[name](client)
        assert time.monotonic() - start < 10


def test_silence_ends_coroutines_too(silent):
    async def work():
        async with timbre.AsyncClient(silent.address, timeout_s=0.5) as client:
            for call in (
                client.build("alice", FRAMES),
                client.tune("alice", FRAMES),
            ):
                with pytest.raises(timbre.Unavailable, match="no answer"):
                    await asyncio.wait_for(call, 20)

    asyncio.run(work())


def test_progress_is_the_sign_of_life_of_long_builds(server, alice):
    """A caller that takes its time is not the server's silence either."""
    with timbre.Client(server.address, timeout_s=1.0) as hasty:
        clock = threading.Event()

        def slowly():
            yield alice[:1000]
            clock.wait(1.5)
            yield alice[1000:]

        version = hasty.build("taking-time", slowly())
        assert version.frames == len(alice)


def test_a_tuning_waits_for_a_build_longer_than_a_silent_server_may(
    new_server, alice
):
    """The only builder is busy: nothing is said meanwhile."""
    server = new_server("--build_threads=1")
    training = threading.Event()

    def hear(progress):
        if progress.stage == "training":
            training.set()

    with timbre.Client(server.address, timeout_s=60) as patient:
        patient.build("tuned", alice, index_factory="IVF16,PQ16x4fs,RFlat")
        build = threading.Thread(
            target=lambda: patient.build(
                "slow", speech(60_000, DIMENSION), progress=hear,
                index_factory="IVF12000,PQ16x4fs,RFlat",
            )
        )
        build.start()
        assert training.wait(60)
        with timbre.Client(server.address, timeout_s=0.5) as hasty:
            start = time.monotonic()
            assert hasty.tune("tuned", alice[:50]).operating_points
            assert time.monotonic() - start > 0.5
        build.join()


def test_stored_frames_and_exports_end_in_time(silent, tmp_path):
    info = timbre.Version(
        **{
            field: 1
            for field in timbre.Version.__dataclass_fields__
            if field != "metric"
        },
        metric="l2",
    )
    with timbre.Client(silent.address, timeout_s=0.5) as client:
        voice = timbre.Voice(client._connection, "alice", info)
        for call in (
            voice.frames,
            lambda: voice.blend(FRAMES[:, :1]),
            lambda: client.export("alice", tmp_path / "x"),
        ):
            with pytest.raises(timbre.Unavailable, match="no answer"):
                call()
    assert list(tmp_path.iterdir()) == []

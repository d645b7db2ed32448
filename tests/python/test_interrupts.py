"""What a signal handler raises comes out of every call as it is, and the
client stays usable."""

import asyncio
import concurrent.futures
import gc
import os
import pathlib
import random
import signal
import threading
import time

import numpy as np
import pytest
import timbre
from conftest import DIMENSION, wait_for
from interrupting import KINDS, Timeout, outcome

CALLS = {
    "blend": lambda c: c.voice.blend(c.frames[:16]),
    "blend of several messages": lambda c: c.voice.blend(c.many),
    "search": lambda c: c.voice.search(c.frames[:16]),
    "mix": lambda c: c.mixed.blend(c.frames[:16]),
    "compat": lambda c: c.index.search(c.frames[:16]),
    "frames": lambda c: c.voice.frames(),
    "export": lambda c: c.client.export("alice", c.path),
    "build": lambda c: c.client.build("another", c.frames),
    "tune": lambda c: c.client.tune("alice", c.frames[:100]),
    "list": lambda c: list(c.client.list_speakers()),
    "speaker": lambda c: c.client.speaker("alice"),
    "warm": lambda c: c.client.warm("alice"),
    "delete": lambda c: c.client.delete_speaker("nobody"),
    "server_info": lambda c: c.client.server_info(),
}


class Calls:
    """Everything that can be called, on a client of one's own."""

    def __init__(self, server, frames, path):
        self.client = timbre.Client(server.address, timeout_s=20)
        self.frames = frames
        self.many = np.tile(frames, (8, 1))  # 3 MiB
        self.path = path / "exported.index"
        self.voice = self.client.speaker("alice")
        self.mixed = self.client.mix({"alice": 1.0})
        self.index = timbre.compat.faiss_index("alice", self.client)
        self.expected = self.voice.blend(frames[:16])

    def check(self):
        """Answers are right, on this thread and on another."""
        assert np.array_equal(
            self.voice.blend(self.frames[:16]), self.expected
        )
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            fresh = threads.submit(
                lambda: self.client.speaker("alice").blend(self.frames[:16])
            )
            assert np.array_equal(fresh.result(60), self.expected)


@pytest.fixture
def calls(server, alice, tmp_path):
    made = Calls(server, alice, tmp_path)
    yield made
    made.client.close()


@pytest.fixture
def held(new_server, alice, tmp_path):
    """Calls of a server that does not answer just now."""
    server = new_server()
    with timbre.Client(server.address) as client:
        client.build("alice", alice)
    made = Calls(server, alice, tmp_path)
    stat = pathlib.Path(f"/proc/{server.process.pid}/stat")
    os.kill(server.process.pid, signal.SIGSTOP)
    wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
    made.resume = lambda: os.kill(server.process.pid, signal.SIGCONT)
    yield made
    made.resume()
    made.client.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_handlers_exception_ends_every_call_that_waits(held, kind):
    for name, call in CALLS.items():
        start = time.monotonic()
        came, fired = outcome(lambda: call(held), 0.05, kind)
        assert came is fired[0], name
        assert time.monotonic() - start < 5, name
    held.resume()
    held.check()
    del came, fired
    # Nothing of them is under way any more, and no file is left half done.
    wait_for(lambda: idle(held.client))
    assert list(held.path.parent.glob(".exported*")) == []


def idle(client):
    """Whether the streams that wait for a call are all that is open."""
    connection = client._connection
    gc.collect()
    connection.bury()
    return len(connection.watchdog) == len(connection.idle)


def test_ctrl_c_is_keyboard_interrupt(held):
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        held.voice.blend(held.frames[:16])
    held.resume()
    held.check()


def seconds_of(call, calls):
    start = time.monotonic()
    call(calls)
    return time.monotonic() - start


@pytest.mark.parametrize("name", ["blend", "frames", "list", "speaker", "mix"])
def test_handlers_raise_at_any_moment(calls, name):
    """From before the first step to after the last one."""
    moments = random.Random(7)
    call = CALLS[name]
    took = min(seconds_of(call, calls) for _ in range(5))
    hit = 0
    for i in range(150):
        kind = KINDS[i % len(KINDS)]
        seconds = max(2e-6, moments.uniform(0, 1.3 * min(took, 0.01)))
        came, fired = outcome(lambda: call(calls), seconds, kind)
        hit += bool(fired)
        if fired:
            assert came is fired[0]
        else:
            assert not isinstance(came, BaseException), repr(came)
        assert np.array_equal(
            calls.voice.blend(calls.frames[:16]), calls.expected
        )
    assert hit > 20
    calls.check()
    del came, fired  # an exception keeps the frames that it went through
    wait_for(lambda: idle(calls.client))


def test_an_interrupt_leaves_the_other_threads_alone(calls):
    """They share grpcio's lock of the channel with the main thread."""
    done = threading.Event()

    def work():
        answered = 0
        while not done.is_set():
            out = calls.voice.blend(calls.frames[:16])
            assert np.array_equal(out, calls.expected)
            answered += 1
        return answered

    moments = random.Random(8)
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        others = [threads.submit(work) for _ in range(3)]
        for _ in range(150):
            outcome(
                lambda: calls.voice.blend(calls.frames[:16]),
                moments.uniform(2e-6, 3e-3),
                Timeout,
            )
        done.set()
        assert all(other.result(60) > 0 for other in others)


@pytest.mark.skipif(
    os.environ.get("TIMBRE_GRPC_API") == "public",
    reason="a main thread exchanges no messages by itself",
)
def test_a_lock_of_the_channel_is_left_by_whatever_leaves_it(calls):
    """grpcio's own Condition stays locked where a handler raises in its
    __exit__; see _exchange.calm."""
    channel = calls.client._connection.channel._channel
    (condition,) = [
        found
        for state in gc.get_referents(channel)
        for found in gc.get_referents(state)
        if isinstance(found, threading.Condition)
    ]
    assert calls.client._connection.exchanges
    for name in ("__enter__", "__exit__"):
        method = getattr(condition, name)
        assert not hasattr(method, "__code__"), "is Python"


def test_an_interrupted_close_closes(server, alice):
    for seconds in (1e-6, 1e-4, 1e-3):
        client = timbre.Client(server.address)
        client.speaker("alice").blend(np.ones((4, DIMENSION), "f4"))
        came, fired = outcome(client.close, seconds, KeyboardInterrupt)
        assert not fired or came is fired[0]
        client.close()
        with pytest.raises(timbre.FailedPrecondition):
            client.server_info()


def test_a_cancelled_coroutine_ends_its_build_at_the_server(
    server, client, alice
):
    entered, leave = threading.Event(), threading.Event()

    def frames():
        yield alice
        entered.set()
        leave.wait(30)
        yield alice

    async def work():
        async with timbre.AsyncClient(server.address) as remote:
            build = asyncio.ensure_future(remote.build("cancelled", frames()))
            await asyncio.get_running_loop().run_in_executor(
                None, entered.wait, 30
            )
            build.cancel()
            with pytest.raises(asyncio.CancelledError):
                await build
            leave.set()
            voice = await remote.speaker("alice")
            assert (await voice.blend(alice[:16])).shape == (16, DIMENSION)

    asyncio.run(work())
    with pytest.raises(timbre.NotFound):
        client.get_speaker("cancelled")

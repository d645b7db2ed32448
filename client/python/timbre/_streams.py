"""The open streams of one voice and one method.

Every thread that asks has a stream to itself while it does, so nobody waits
for another's answer. A stream that ends is replaced: the new one names the
voice and its version again, and asks again what was not answered.
"""

from __future__ import annotations

import collections
import os
import threading
import time
import weakref
from typing import Any, Callable, Iterable, Iterator, Optional

import grpc

from timbre import errors
from timbre._exchange import Ended, open_exchange
from timbre._patience import Patience
from timbre._watchdog import Watchdog

# Messages of one call on their way at once: enough to keep the server busy
# while answers travel.
WINDOW = 4


class Connection:
    """What all calls of a client share: channel, headers, watchdog."""

    def __init__(
        self,
        channel: grpc.Channel,
        headers: tuple[tuple[str, str], ...],
        timeout_s: float,
    ) -> None:
        self.channel = channel
        self.timeout_s = timeout_s
        self.watchdog = Watchdog()
        self._headers = headers
        self._pid = os.getpid()
        self.closed = False
        # Streams of pools that were forgotten: the next call ends them. Not
        # the garbage collector, which may run on any thread, inside any lock.
        self.forgotten: collections.deque[Stream] = collections.deque()
        self._pools: weakref.WeakSet[Streams] = weakref.WeakSet()
        self._lock = threading.Lock()
        weakref.finalize(self, self.watchdog.close).atexit = False

    def metadata(self, speaker: str = "") -> tuple[tuple[str, str], ...]:
        """Of a call; the speaker is there for proxies."""
        if not speaker:
            return self._headers
        if not (speaker.isascii() and speaker.isprintable()):
            # No header can carry it; and no speaker is called so.
            raise errors.InvalidArgument(
                f'speaker "{speaker}": must be [a-z0-9], then up to 62 of'
                " [a-z0-9._-]",
                field="speaker",
                reason="INVALID_FIELD",
            )
        return (*self._headers, ("timbre-speaker", speaker))

    def check(self) -> None:
        """Raises if this client must not be used (any more)."""
        if self.closed:
            raise errors.FailedPrecondition(
                "the client is closed", reason="CLIENT_CLOSED"
            )
        if self._pid != os.getpid():
            raise errors.ForkError(
                f"this client belongs to process {self._pid}: gRPC does not"
                " survive a fork. Make a client in the child, or start"
                " children by spawn",
                reason="FORKED",
            )

    def add(self, pool: Streams) -> None:
        """Closes `pool` with the connection."""
        with self._lock:
            self._pools.add(pool)

    def is_ours(self) -> bool:
        """Whether this process made it; else it must not be touched."""
        return self._pid == os.getpid()

    def bury(self) -> None:
        """Ends the streams that were forgotten."""
        while self.forgotten:
            try:
                self.forgotten.pop().abandon()
            except IndexError:  # another thread was faster
                return

    def close(self) -> None:
        """Ends all streams and the connection."""
        if self.closed or not self.is_ours():
            return
        self.closed = True
        with self._lock:
            pools = list(self._pools)
        for pool in pools:
            pool.close()
        self.bury()
        self.channel.close()
        self.watchdog.close()


class Said:
    """What the server keeps from earlier messages of a stream.

    Attributes:
      voice: whether it knows which.
      params, voices: as last sent.
    """

    __slots__ = ("voice", "params", "voices")

    def __init__(self) -> None:
        self.voice = False
        self.params: Any = None
        self.voices: Any = ()


class Stream:
    """An open stream, and what has been said on it.

    Attributes:
      said: to the server; nothing yet on a new stream.
      effective: the parameters that it last said it used, None before.
    """

    def __init__(self, connection: Connection, method: str, speaker: str):
        self.exchange = open_exchange(
            connection.channel, method, connection.metadata(speaker)
        )
        self._watchdog = connection.watchdog
        self.watch = self._watchdog.add(self.exchange)
        self.said = Said()
        self.effective: Any = None

    def hear(self, response: Any) -> None:
        """Keeps what an answer says of the parameters: only changes are said,
        so it holds from then on."""
        if response.HasField("effective"):
            self.effective = response.effective

    def close(self, deadline: float) -> None:
        """Ends the stream well; at `deadline` (time.monotonic) it is cut."""
        self._watchdog.arm(self.watch, deadline)
        self.exchange.close()
        self.abandon()

    def abandon(self) -> None:
        """Ends the stream at once."""
        self._watchdog.remove(self.watch)
        self.exchange.abandon()


# Makes the i-th message of a call for a stream.
Encode = Callable[[int, Stream], bytes]
# Takes the i-th answer.
Take = Callable[[int, bytes, Stream], None]


class Streams:
    """Thread-safe."""

    def __init__(
        self, connection: Connection, method: str, speaker: str
    ) -> None:
        self._connection = connection
        self._method = method
        self._speaker = speaker
        self._idle: collections.deque[Stream] = collections.deque()
        self._closed = False
        connection.add(self)
        # A pool that is forgotten leaves no stream open.
        weakref.finalize(
            self, connection.forgotten.extend, self._idle
        ).atexit = False

    def ask(
        self, count: int, encode: Encode, take: Take, patience: Patience
    ) -> None:
        """Has `count` messages answered, in order, each exactly once.

        Raises:
          Error: the server refused one, or patience ended. The answers before
            have been taken.
        """
        answered = 0
        while answered < count:
            self._connection.check()
            if self._connection.forgotten:
                self._connection.bury()
            stream: Optional[Stream] = None
            was_idle = False
            try:
                stream, was_idle = self._acquire()
                for answer in self._answers(
                    stream, range(answered, count), encode, patience
                ):
                    take(answered, answer, stream)
                    answered += 1
                    was_idle = False
                    patience.progress()
            except Ended as ended:
                if stream is not None:
                    stream.abandon()
                    if stream.watch.expired:
                        raise patience.late() from None
                self._connection.check()
                time.sleep(patience.after(ended, was_idle))
            except BaseException:
                if stream is not None:
                    stream.abandon()
                raise
            else:
                if stream.watch.expired:  # in the moment of its answer
                    stream.abandon()
                else:
                    self._release(stream)

    def close(self) -> None:
        """Ends the idle streams, within a second; busy ones end with their
        calls."""
        if not self._connection.is_ours():
            return
        self._closed = True
        deadline = time.monotonic() + 1
        while self._idle:
            try:
                stream = self._idle.pop()
            except IndexError:  # another thread was faster
                return
            stream.close(deadline)

    def _answers(
        self,
        stream: Stream,
        numbers: range,
        encode: Encode,
        patience: Patience,
    ) -> Iterable[bytes]:
        if len(numbers) > 1:
            requests = (encode(i, stream) for i in numbers)
            return self._pumped(stream, requests, patience)
        watchdog = self._connection.watchdog
        watchdog.arm(stream.watch, patience.deadline)
        answer = stream.exchange.ask(encode(numbers[0], stream))
        watchdog.disarm(stream.watch)
        return (answer,)

    def _pumped(
        self, stream: Stream, requests: Iterator[bytes], patience: Patience
    ) -> Iterator[bytes]:
        watchdog = self._connection.watchdog
        watchdog.arm(stream.watch, patience.deadline)
        for answer in stream.exchange.pump(requests, WINDOW):
            yield answer
            watchdog.arm(stream.watch, patience.deadline)
        watchdog.disarm(stream.watch)

    def _acquire(self) -> tuple[Stream, bool]:
        try:
            stream = self._idle.pop()
        except IndexError:
            return Stream(self._connection, self._method, self._speaker), False
        return stream, True

    def _release(self, stream: Stream) -> None:
        self._idle.append(stream)
        if self._closed or self._connection.closed:
            self.close()

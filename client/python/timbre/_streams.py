"""The open streams of one voice and one method.

Every thread that asks has a stream to itself while it does, so nobody waits
for another's answer. A stream that ends is replaced: the new one names the
voice and its version again, and asks again what was not answered.
"""

from __future__ import annotations

import collections
import time
from typing import Any, Callable, Iterable, Iterator, Optional

from timbre import _threads
from timbre._connection import Connection, Grave
from timbre._exchange import Ended, open_exchange
from timbre._patience import Patience
from timbre._watchdog import Watch

# Messages of one call on their way at once: enough to keep the server busy
# while answers travel.
WINDOW = 4


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
        self.watch.grave = _StreamGrave(self, connection)
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
        self.watch.grave = None  # last: it does the rest of what is left


class _StreamGrave(Grave):
    """Of a stream that an interrupted call had in hand."""

    __slots__ = ("_watchdog", "_watch")

    def __new__(cls, stream: Stream, connection: Connection) -> Any:
        return super().__new__(cls, stream, connection.forgotten.append)

    def __init__(self, stream: Stream, connection: Connection) -> None:
        super().__init__(stream, connection.forgotten.append)
        self._watchdog = connection.watchdog
        self._watch: Watch = stream.watch

    def bury(self) -> None:
        """Ends the stream."""
        self._watch.grave = None
        self._watchdog.remove(self._watch)
        exchange: Any = self._watch.call
        exchange.abandon()


class _PoolGrave(Grave):
    """Of the streams of a voice that was forgotten."""

    __slots__ = ("_connection", "_idle")

    def __new__(cls, pool: Streams, connection: Connection) -> Any:
        return super().__new__(cls, pool, connection.forgotten.append)

    def __init__(self, pool: Streams, connection: Connection) -> None:
        super().__init__(pool, connection.forgotten.append)
        self._connection = connection
        self._idle = pool._idle

    def bury(self) -> None:
        """Ends the streams."""
        self._connection.remove(self)
        for stream in _taken(self._connection, self._idle):
            stream.abandon()


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
        connection.add(_PoolGrave(self, connection))

    def ask(
        self, count: int, encode: Encode, take: Take, patience: Patience
    ) -> None:
        """Has `count` messages answered, in order, each exactly once.

        Raises:
          Error: the server refused one, or patience ended. The answers before
            have been taken.
        """
        if not self._connection.exchanges and _threads.on_main():
            _threads.aside(lambda *_: self.ask(count, encode, take, patience))
            return
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
                delay = patience.after(ended, was_idle)
                if delay > 0:
                    self._connection.rest(ended, delay, _threads.Scope())
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
        _threads.aside(lambda *_: self._close_idle())

    def _close_idle(self) -> None:
        deadline = time.monotonic() + 1
        for stream in _taken(self._connection, self._idle):
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
        idle = self._idle
        kept = self._connection.idle
        while idle:
            try:
                stream = idle.pop()
            except IndexError:  # another thread was faster
                break
            if kept.pop(stream, None) is not None:
                return stream, True
        # An exchange that nobody has in hand yet could not be ended.
        return _threads.aside(lambda *_: self._open()), False

    def _open(self) -> Stream:
        return Stream(self._connection, self._method, self._speaker)

    def _release(self, stream: Stream) -> None:
        connection = self._connection
        connection.idle[stream] = self._idle
        self._idle.append(stream)
        if len(connection.idle) > connection.max_idle_streams:
            connection.give_back()
        if self._closed or connection.closed:
            self.close()


def _taken(
    connection: Connection, idle: collections.deque[Stream]
) -> Iterator[Stream]:
    """Idle streams, each the caller's own from then on."""
    while idle:
        try:
            stream = idle.pop()
        except IndexError:  # another thread was faster
            return
        if connection.idle.pop(stream, None) is not None:
            yield stream

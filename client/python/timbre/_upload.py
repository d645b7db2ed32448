"""Calls that send frames first: Build and Tune."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Iterator, Optional

import grpc

from timbre import _contract, _threads
from timbre._build import FrameSource
from timbre._calls import ended_by, raised_by
from timbre._connection import Connection
from timbre._exchange import Ended
from timbre._patience import Patience
from timbre._threads import Scope
from timbre._wire import wrap
from timbre.results import Progress, Tuning, Version

Say = Callable[[Any], None]

# A Tune waits for builds before it, and says nothing while it measures.
_MEASURING_S = 600.0


class _Upload:
    """One call, which the watchdog ends where neither a message is taken nor
    an answer comes for as long as its patience says. Also the iterator of its
    messages for gRPC, which keeps their error for the caller."""

    def __init__(
        self,
        connection: Connection,
        patience: Patience,
        messages: Iterator[bytes],
    ) -> None:
        self._watchdog = connection.watchdog
        self._patience = patience
        self._messages = messages
        self._call: Any = None
        self._watch: Any = None
        self._started = threading.Event()
        self._measuring_s: Optional[float] = None
        self._all_sent = False
        self.error: Optional[BaseException] = None

    def begin(self, call: Any, scope: Scope) -> Any:
        """The call that takes the messages; gRPC's thread asks for the first
        one before."""
        self._call = call
        self._watch = self._watchdog.add(call)
        self.heard()
        self._started.set()
        scope.begin(call)
        return call

    def heard(self) -> None:
        """A sign of life."""
        ends = self._patience.silence_ends()
        if self._all_sent and self._measuring_s is not None:
            ends = max(ends, time.monotonic() + self._measuring_s)
        self._watchdog.arm(self._watch, ends)

    def accepted(self, measuring_s: float) -> None:
        """The server has the call, and may take so long once it has all."""
        self._measuring_s = measuring_s
        if self._all_sent:
            self.heard()

    def end(self, scope: Scope) -> None:
        """The call is over; nothing that the caller gets may keep it, see
        _threads."""
        self._watchdog.remove(self._watch)
        self._watch.call = None
        call, self._call = self._call, None
        call.cancel()
        scope.ended()

    def why(self, ended: Ended) -> BaseException:
        """What ended it: a frame, silence, or `ended`."""
        if self.error is not None:
            return self.error
        if self._watch.expired:
            return self._patience.late()
        return ended

    def __iter__(self) -> _Upload:
        return self

    def __next__(self) -> bytes:
        self._started.wait()
        # The server has taken the last one; the caller takes its time.
        self._watchdog.disarm(self._watch)
        try:
            message = next(self._messages)
        except (GeneratorExit, StopIteration):
            self._all_sent = True
            self.heard()
            raise
        except BaseException as error:
            # Cancelled first: the half-close that follows must not publish.
            self.error = error
            call = self._call
            if call is not None:  # else it is over
                call.cancel()
            raise StopIteration from None
        self.heard()
        return message


def build(
    connection: Connection,
    options: Any,
    source: FrameSource,
    progress: Optional[Callable[[Progress], None]],
) -> Version:
    """One Build, repeated where its connection breaks."""

    def work(scope: Scope, say: Say) -> Version:
        if not source.repeatable:
            connection.await_ready()
        patience = connection.patience()
        furthest = 0.0
        reached = 0.0

        def hear(news: Progress) -> None:
            nonlocal reached
            # While frames come in, the fraction may stay what it is.
            reached = max(reached, news.fraction + 1e-9 * news.frames)
            say(news)

        while True:
            try:
                return _build_once(
                    connection, options, source, hear, patience, scope
                )
            except Ended as how:
                ended = how.anew()
            connection.check()
            # Attempts that all end at the same place are one silence.
            if reached > furthest:
                furthest = reached
                patience.progress()
            if not source.repeatable:
                raise raised_by(ended)
            delay = patience.after(ended, was_idle=False)
            connection.rest(ended, delay, scope)

    return _threads.aside(work, progress or (lambda _: None))


def _build_once(
    connection: Connection,
    options: Any,
    source: FrameSource,
    say: Say,
    patience: Patience,
    scope: Scope,
) -> Version:
    connection.check()
    scope.check()

    def messages() -> Iterator[bytes]:
        yield _contract.BuildRequest(options=options).SerializeToString()
        yield from source.messages()

    upload = _Upload(connection, patience, messages())
    call: Any = upload.begin(
        connection.channel.stream_stream(_contract.BUILD)(
            upload, metadata=connection.metadata(options.speaker)
        ),
        scope,
    )
    try:
        for answer in call:
            response = _contract.BuildResponse.FromString(answer)
            upload.heard()
            if response.WhichOneof("event") == "version":
                return Version._of(response.version)
            say(Progress._of(response.progress))
        ended = Ended("INTERNAL", "no version", ())
    except grpc.RpcError as error:
        ended = ended_by(error)
    finally:
        call = upload.end(scope)
    raise upload.why(ended)


def tune(
    connection: Connection,
    first: Any,
    source: FrameSource,
    timeout_s: Optional[float],
) -> Tuning:
    """One Tune; repeated only where nothing of it was sent, since it may have
    been applied."""

    def work(scope: Scope, _: Say) -> Tuning:
        if not source.repeatable:
            connection.await_ready()
        patience = connection.patience(once=True, timeout_s=timeout_s)
        while True:
            try:
                return _tune_once(
                    connection,
                    first,
                    source,
                    patience,
                    scope,
                    _MEASURING_S if timeout_s is None else timeout_s,
                )
            except Ended as how:
                ended = how.anew()
            connection.check()
            delay = patience.after(ended, was_idle=False)
            if not source.repeatable:
                raise raised_by(ended)
            connection.rest(ended, delay, scope)

    return _threads.aside(work)


def _tune_once(
    connection: Connection,
    first: Any,
    source: FrameSource,
    patience: Patience,
    scope: Scope,
    measuring_s: float,
) -> Tuning:
    connection.check()
    scope.check()

    def messages() -> Iterator[bytes]:
        yield first.SerializeToString()
        for rows in source.rows():
            yield wrap(b"", _contract.TuneRequest, rows)

    upload = _Upload(connection, patience, messages())
    call: Any = upload.begin(
        connection.channel.stream_unary(_contract.TUNE).future(
            upload, metadata=connection.metadata(first.speaker)
        ),
        scope,
    )
    try:
        call.initial_metadata()  # sent by the server at once
        upload.accepted(measuring_s)
        return Tuning._of(_contract.TuneResponse.FromString(call.result()))
    except grpc.FutureCancelledError:
        ended = Ended("CANCELLED", "the call was cancelled", ())
    except grpc.RpcError as error:
        ended = ended_by(error)
    finally:
        call = upload.end(scope)
    raise upload.why(ended)

"""A bidirectional call as the caller's own thread sees it.

grpcio's public API serves such a call with two threads of its own: one takes
requests out of an iterator, one waits for events; each message passes through
both: half as much processor time again for a live block (script/bench serving
--only=worker). `Segregated` does what grpcio itself does for calls with one answer:
a completion queue of the call's own, polled by the thread that waits. grpcio
keeps that below its public API, so the tests run with its oldest and newest
version, and `Public` takes over where it is not as expected, or where
TIMBRE_GRPC_API=public says so.

What a signal handler raises may leave `Segregated` at any step of its Python
code. The step is marked: an exchange that was left within one has perhaps
lost an event, so that nobody may wait for another, and is only cancelled.
grpcio's own lock, which other calls need, is let go in any case: `calm`.

Neither is thread-safe, except for `cancel`.
"""

from __future__ import annotations

import gc
import logging
import os
import queue
import threading
from typing import Any, Iterable, Iterator, Optional, Union

import grpc

Metadata = tuple[tuple[str, str], ...]

_log = logging.getLogger("timbre")
_CANCELLED = 1


class Ended(Exception):
    """The call is over: its status, OK included."""

    def __init__(self, code: str, message: str, metadata: Any) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.metadata = metadata

    def anew(self) -> Ended:
        """One to raise: without a traceback, which would keep frames alive."""
        return Ended(self.code, self.message, self.metadata)


class Segregated:
    """Over grpcio's own lower layer; no thread but the caller's."""

    _STATUS, _START, _SEND, _RECEIVE = range(4)

    def __init__(
        self, channel: grpc.Channel, method: str, metadata: Metadata
    ) -> None:
        from grpc._cython import cygrpc

        self._api = cygrpc
        self._torn = False  # within a step
        self._sending = False
        self._receiving = False
        self._answer: Optional[bytes] = None
        self._ended: Optional[Ended] = None
        channel_state: Any = channel
        self._call = channel_state._channel.segregated_call(
            0,  # propagate nothing
            method.encode(),
            None,  # the channel's host
            None,  # no deadline: the stream stays open
            metadata,
            None,  # no credentials of its own
            (
                (
                    (cygrpc.ReceiveStatusOnClientOperation(0),),
                    self._STATUS,
                ),
                (
                    (
                        cygrpc.SendInitialMetadataOperation(metadata, 0),
                        cygrpc.ReceiveInitialMetadataOperation(0),
                    ),
                    self._START,
                ),
            ),
            cygrpc.build_census_context(),
        )

    def ask(self, request: bytes) -> bytes:
        """Sends one message and waits for its answer."""
        self._operate(
            self._RECEIVE,
            self._api.SendMessageOperation(request, 0),
            self._api.ReceiveMessageOperation(0),
        )
        return self._next_answer()

    def pump(
        self, requests: Iterable[bytes], window: int
    ) -> Iterator[bytes]:
        """Answers to `requests`, at most `window` of them unanswered.

        A message may be answered before it counts as sent: that event comes
        when the system has taken the last of its bytes, and waits its turn.
        Ends when all have been answered and count as sent.
        """
        source = iter(requests)
        exhausted = False
        unanswered = 0
        while True:
            while not (exhausted or self._sending or unanswered == window):
                request = next(source, None)
                if request is None:
                    exhausted = True
                    break
                self._operate(
                    self._SEND, self._api.SendMessageOperation(request, 0)
                )
                unanswered += 1
            if exhausted and unanswered == 0:
                return
            if unanswered > 0 and not self._receiving:
                self._operate(
                    self._RECEIVE, self._api.ReceiveMessageOperation(0)
                )
            receiving = self._receiving
            self._await_event()
            if self._answer is None:
                if receiving and not self._receiving:
                    self._await_status()
                continue
            answer, self._answer = self._answer, None
            unanswered -= 1
            yield answer

    def cancel(self) -> None:
        """Ends the call: whoever waits for it sees Ended. Any thread."""
        self._call.cancel(_CANCELLED, "cancelled by the client")

    def close(self) -> None:
        """Half-closes and waits for the server's status."""
        try:
            self._operate(
                self._SEND, self._api.SendCloseFromClientOperation(0)
            )
            self._await_status()
        except Ended:
            pass

    def abandon(self) -> None:
        """Cancels and takes every event: grpcio keeps the call until then."""
        if self._torn or self._ended is None:
            self.cancel()
        if self._torn:
            return
        try:
            self._await_status()
        except Ended:
            pass

    def _operate(self, tag: int, *operations: Any) -> None:
        if self._ended is not None:
            raise self._ended.anew()
        self._torn = True
        try:
            started = self._call.operate(operations, tag)
        except ValueError as error:  # the channel is closed
            self._torn = False
            raise Ended("UNAVAILABLE", str(error), ()) from None
        if started:
            self._sending |= tag == self._SEND
            self._receiving |= tag == self._RECEIVE
        self._torn = False
        if not started:
            raise Ended("UNAVAILABLE", "the call is over", ())

    def _next_answer(self) -> bytes:
        while self._receiving:
            self._await_event()
        if self._answer is None:
            self._await_status()
        answer, self._answer = self._answer, None
        assert answer is not None
        return answer

    def _await_status(self) -> None:
        """Raises Ended."""
        while self._ended is None or self._sending or self._receiving:
            self._await_event()
        raise self._ended.anew()

    def _await_event(self) -> None:
        self._torn = True
        event = self._call.next_event()
        if event.tag == self._SEND:
            self._sending = False
        elif event.tag == self._RECEIVE:
            self._receiving = False
            for operation in event.batch_operations:
                if isinstance(operation, self._api.ReceiveMessageOperation):
                    self._answer = operation.message()
        elif event.tag == self._STATUS:
            (status,) = event.batch_operations
            self._ended = Ended(
                _name_of(status.code()),
                _text_of(status.details()),
                status.trailing_metadata(),
            )
        self._torn = False


class Public:
    """Over grpcio's public API."""

    def __init__(
        self, channel: grpc.Channel, method: str, metadata: Metadata
    ) -> None:
        self._requests: queue.SimpleQueue[Optional[bytes]] = (
            queue.SimpleQueue()
        )
        self._call = channel.stream_stream(method)(
            iter(self._requests.get, None), metadata=metadata
        )

    def ask(self, request: bytes) -> bytes:
        """Sends one message and waits for its answer."""
        self._requests.put(request)
        return self._next_answer()

    def pump(
        self, requests: Iterable[bytes], window: int
    ) -> Iterator[bytes]:
        """Answers to `requests`, at most `window` of them unanswered."""
        unanswered = 0
        for request in requests:
            self._requests.put(request)
            unanswered += 1
            if unanswered == window:
                yield self._next_answer()
                unanswered -= 1
        for _ in range(unanswered):
            yield self._next_answer()

    def cancel(self) -> None:
        """Ends the call: whoever waits for it sees Ended. Any thread."""
        self._call.cancel()
        self._requests.put(None)

    def close(self) -> None:
        """Half-closes and waits for the server's status."""
        self._requests.put(None)
        try:
            self._next_answer()
        except Ended:
            pass

    def abandon(self) -> None:
        """Cancels."""
        self.cancel()

    def _next_answer(self) -> bytes:
        try:
            answer: bytes = next(self._call)
            return answer
        except StopIteration:
            raise Ended("OK", "", ()) from None
        except grpc.RpcError:
            self._requests.put(None)  # lets grpcio's thread go
            raise Ended(
                self._call.code().name,
                self._call.details() or "",
                self._call.trailing_metadata(),
            ) from None


Exchange = Union[Segregated, Public]
_use_public = os.environ.get("TIMBRE_GRPC_API") == "public"


def calm(channel: grpc.Channel) -> bool:
    """Makes a channel's lock safe from signal handlers; whether it is, so
    that a main thread may exchange messages over it.

    grpcio guards a channel by a threading.Condition. Its __enter__ and
    __exit__ are Python: an exception that a handler raises in one of them
    leaves it locked, and every call of all other threads waits for ever.
    Those of its lock are C, and done or not begun.
    """
    if _use_public:
        return False
    wrapped: Any = channel
    for state in gc.get_referents(getattr(wrapped, "_channel", None)):
        for condition in gc.get_referents(state):
            if type(condition) is threading.Condition:
                condition.__class__ = _calm_class(condition)
                return True
    return False


def _calm_class(condition: Any) -> type:
    lock = condition._lock
    return type(
        "Condition",
        (threading.Condition,),
        {
            "__enter__": staticmethod(lock.__enter__),
            "__exit__": staticmethod(lock.__exit__),
        },
    )


def open_exchange(
    channel: grpc.Channel, method: str, metadata: Metadata
) -> Exchange:
    """Opens a call of `method` in the fastest way that this grpcio has."""
    global _use_public
    if not _use_public:
        try:
            return Segregated(channel, method, metadata)
        except ValueError as error:  # the channel is closed
            raise Ended("UNAVAILABLE", str(error), ()) from None
        except (AttributeError, ImportError, TypeError) as error:
            _log.warning(
                "grpcio %s is not as this package knows it (%s): using its"
                " public interface, which is slower",
                grpc.__version__,
                error,
            )
            _use_public = True
    return Public(channel, method, metadata)


def _name_of(code: Any) -> str:
    for status in grpc.StatusCode:
        if status.value[0] == code:
            return str(status.name)
    return "UNKNOWN"


def _text_of(details: Any) -> str:
    if isinstance(details, bytes):
        return details.decode("utf-8", "replace")
    return str(details or "")

"""Calls that send frames first: Build and Tune."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Iterator, Optional

import grpc

from timbre import _contract
from timbre._build import FrameSource
from timbre._calls import ended_by, error_of
from timbre._exchange import Ended
from timbre._patience import Patience
from timbre._streams import Connection
from timbre._wire import wrap
from timbre.results import Progress, Tuning, Version


class _Messages:
    """An iterator of messages for gRPC, whose error is the caller's to see."""

    def __init__(self, messages: Iterator[bytes]) -> None:
        self._messages = messages
        self.error: Optional[BaseException] = None
        self._call: Any = None
        self._started = threading.Event()

    def started(self, call: Any) -> None:
        """The call that takes them; gRPC's thread asks for the first one
        before."""
        self._call = call
        self._started.set()

    def __iter__(self) -> _Messages:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._messages)
        except (GeneratorExit, StopIteration):
            raise
        except BaseException as error:
            # Cancelled first: the half-close that follows must not publish.
            self.error = error
            self._started.wait()
            self._call.cancel()
            raise StopIteration from None


def build(
    connection: Connection,
    options: Any,
    source: FrameSource,
    progress: Optional[Callable[[Progress], None]],
) -> Version:
    """One Build, repeated where its connection breaks."""
    patience = Patience(connection.timeout_s)
    while True:
        try:
            return _build_once(connection, options, source, progress, patience)
        except Ended as ended:
            if not source.repeatable:
                raise error_of(ended) from None
            time.sleep(patience.after(ended, was_idle=False))


def _build_once(
    connection: Connection,
    options: Any,
    source: FrameSource,
    progress: Optional[Callable[[Progress], None]],
    patience: Patience,
) -> Version:
    connection.check()

    def requests() -> Iterator[bytes]:
        yield _contract.BuildRequest(options=options).SerializeToString()
        yield from source.messages()

    messages = _Messages(requests())
    call = connection.channel.stream_stream(_contract.BUILD)(
        messages, metadata=connection.metadata(options.speaker)
    )
    messages.started(call)
    try:
        for answer in call:
            response = _contract.BuildResponse.FromString(answer)
            patience.progress()
            if response.WhichOneof("event") == "version":
                return Version._of(response.version)
            if progress is not None:
                progress(Progress._of(response.progress))
    except grpc.RpcError as error:
        if messages.error is not None:
            raise messages.error from None
        raise ended_by(error) from None
    finally:
        call.cancel()
    raise messages.error or Ended("INTERNAL", "no version", ())


def tune(connection: Connection, first: Any, source: FrameSource) -> Tuning:
    """One Tune; not repeated, since it may have been applied."""
    connection.check()

    def requests() -> Iterator[bytes]:
        yield first.SerializeToString()
        for rows in source.rows():
            yield wrap(b"", _contract.TuneRequest, rows)

    messages = _Messages(requests())
    call = connection.channel.stream_unary(_contract.TUNE).future(
        messages, metadata=connection.metadata(first.speaker)
    )
    messages.started(call)
    try:
        return Tuning._of(_contract.TuneResponse.FromString(call.result()))
    except grpc.FutureCancelledError:
        ended = Ended("CANCELLED", "the call was cancelled", ())
        raise messages.error or error_of(ended) from None
    except grpc.RpcError as error:
        raise messages.error or error_of(ended_by(error)) from None
    finally:
        call.cancel()

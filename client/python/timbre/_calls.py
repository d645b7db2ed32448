"""Calls with one answer, and streams of answers."""

from __future__ import annotations

import time
from typing import Any, Iterator

import grpc

from timbre import _contract, _threads
from timbre._connection import Connection
from timbre._exchange import Ended
from timbre._status import error_of
from timbre._threads import Scope


def unary(
    connection: Connection,
    method: str,
    request: Any,
    response: Any,
    speaker: str = "",
    once: bool = False,
    service: str = _contract.CATALOG,
) -> Any:
    """The one answer of a method to one message, of class `response`. `once`:
    the call must not be repeated where it may have worked."""

    def work(scope: Scope, _: Any) -> Any:
        patience = connection.patience(once=once)
        while True:
            connection.check()
            scope.check()
            call = connection.channel.unary_unary(service + method)
            try:
                answer = call(
                    request.SerializeToString(),
                    metadata=connection.metadata(speaker),
                    timeout=max(0.001, patience.deadline - time.monotonic()),
                )
                return response.FromString(answer)
            except grpc.RpcError as error:
                ended = ended_by(error)
            connection.check()  # perhaps closed meanwhile
            delay = patience.after(ended, was_idle=False)
            connection.rest(ended, delay, scope)

    return _threads.aside(work)


def stream(
    connection: Connection,
    scope: Scope,
    method: str,
    request: Any,
    response: Any,
    speaker: str,
) -> Iterator[Any]:
    """The answers of a Catalog method. Asked again where the connection breaks
    before the first one; later nobody would know where to go on. Not on a main
    thread."""
    patience = connection.patience()
    watchdog = connection.watchdog
    begun = False
    while True:
        connection.check()
        scope.check()
        call: Any = connection.channel.unary_stream(
            _contract.CATALOG + method
        )(request.SerializeToString(), metadata=connection.metadata(speaker))
        scope.begin(call)
        watch = watchdog.add(call)
        ended = None
        try:
            watchdog.arm(watch, patience.deadline)
            for answer in call:
                watchdog.disarm(watch)  # the caller takes its time
                begun = True
                yield response.FromString(answer)
                patience.progress()
                watchdog.arm(watch, patience.deadline)
        except grpc.RpcError as error:
            ended = ended_by(error)
        finally:
            watchdog.remove(watch)
            call.cancel()
            # Nothing that the caller gets may keep it, see _threads.
            call = scope.ended()
        if ended is None:
            return
        connection.check()
        if watch.expired:
            raise patience.late()
        if begun:
            raise raised_by(ended)
        delay = patience.after(ended, was_idle=False)
        connection.rest(ended, delay, scope)


def ended_by(error: Any) -> Ended:
    """How grpcio says that a call ended."""
    return Ended(
        error.code().name, error.details() or "", error.trailing_metadata()
    )


def raised_by(ended: Ended) -> Exception:
    """The exception for it."""
    return error_of(ended.code, ended.message, ended.metadata)

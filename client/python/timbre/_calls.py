"""Calls with one answer, and streams of answers."""

from __future__ import annotations

import time
from typing import Any, Iterator

import grpc

from timbre import _contract, errors
from timbre._exchange import Ended
from timbre._patience import Patience
from timbre._streams import Connection


def unary(
    connection: Connection,
    method: str,
    request: Any,
    response: Any,
    speaker: str = "",
    once: bool = False,
) -> Any:
    """The answer of a Catalog method, of class `response`. `once`: the call
    must not be repeated where it may have worked."""
    patience = Patience(connection.timeout_s)
    while True:
        connection.check()
        call = connection.channel.unary_unary(_contract.CATALOG + method)
        try:
            answer = call(
                request.SerializeToString(),
                metadata=connection.metadata(speaker),
                timeout=max(0.001, patience.deadline - time.monotonic()),
            )
            return response.FromString(answer)
        except grpc.RpcError as error:
            ended = ended_by(error)
            found = error_of(ended)
            if once and found.code != "DEADLINE_EXCEEDED" and not found.reason:
                raise found from None
            time.sleep(patience.after(ended, was_idle=False))


def stream(
    connection: Connection,
    method: str,
    request: Any,
    response: Any,
    speaker: str,
) -> Iterator[Any]:
    """The answers of a Catalog method. Asked again where the connection breaks
    before the first one; later nobody would know where to go on."""
    patience = Patience(connection.timeout_s)
    watchdog = connection.watchdog
    begun = False
    while True:
        connection.check()
        call = connection.channel.unary_stream(_contract.CATALOG + method)(
            request.SerializeToString(), metadata=connection.metadata(speaker)
        )
        watch = watchdog.add(call)
        try:
            watchdog.arm(watch, patience.deadline)
            for answer in call:
                watchdog.disarm(watch)  # the caller takes its time
                begun = True
                yield response.FromString(answer)
                patience.progress()
                watchdog.arm(watch, patience.deadline)
            return
        except grpc.RpcError as error:
            ended = ended_by(error)
            if watch.expired:
                raise patience.late(error_of(ended)) from None
            if begun:
                raise error_of(ended) from None
        finally:
            watchdog.remove(watch)
            call.cancel()
        time.sleep(patience.after(ended, was_idle=False))


def ended_by(error: Any) -> Ended:
    """How grpcio says that a call ended."""
    return Ended(
        error.code().name, error.details() or "", error.trailing_metadata()
    )


def error_of(ended: Ended) -> errors.Error:
    """The exception for it."""
    return errors.from_status(ended.code, ended.message, ended.metadata)

"""How a call ended, as the package's exceptions.

A status travels twice: as gRPC's own fields, and whole in the metadatum
grpc-status-details-bin. Where a proxy cuts a stream that the server has
already ended, the first becomes CANCELLED or INTERNAL "RST_STREAM", and the
second arrives: it is believed first.
"""

from __future__ import annotations

import re
from typing import Any, Iterable, NamedTuple, Optional

from timbre import _contract
from timbre.errors import BY_CODE, Error

_DETAILS = "grpc-status-details-bin"
_NAMES = (
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND"
    " ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION"
    " ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS"
    " UNAUTHENTICATED"
).split()
_HTTP = re.compile(r"http2 header with status: (\d{3})")
_CUT = ("CANCELLED", "INTERNAL", "UNKNOWN", "UNAVAILABLE")
# gRPC's words where nothing of a call was sent.
_NEVER_SENT = re.compile(
    r"failed to connect|DNS resolution failed|empty address list", re.I
)


class _Guess(NamedTuple):
    """What a status means that is not the server's own."""

    code: str
    reason: str
    text: str


def error_of(
    code: str, message: str, metadata: Optional[Iterable[Any]]
) -> Error:
    """The exception for how a call ended.

    Args:
      code: gRPC's name of the status.
      message: its text.
      metadata: the trailing metadata, pairs of key and value.
    """
    for key, value in metadata or ():
        if key == _DETAILS:
            status = _parsed(value)
            if status is not None:
                return _servers_own(code, message, status)
    guess = _from_elsewhere(code, message)
    error = BY_CODE.get(guess.code, Error)(guess.text, code=guess.code)
    error.reason = guess.reason
    return error


def is_servers_own(metadata: Optional[Iterable[Any]]) -> bool:
    """Whether the server itself has said it: what it refuses is not done."""
    return any(key == _DETAILS for key, _ in metadata or ())


def was_never_sent(code: str, message: str) -> bool:
    """Whether nothing of the call has left this machine."""
    return code == "UNAVAILABLE" and bool(_NEVER_SENT.search(message))


def _parsed(serialized: bytes) -> Any:
    try:
        return _contract.Status.FromString(serialized)
    except Exception:  # protobuf's DecodeError, of whichever implementation
        return None


def _servers_own(code: str, message: str, status: Any) -> Error:
    if 0 < status.code < len(_NAMES):
        code, message = _NAMES[status.code], status.message or message
    details = _details_of(status)
    error = BY_CODE.get(code, Error)(message, code=code)
    error.reason = details.get("reason", "")
    error.field = details.get("field", "")
    error.retry_after_s = details.get("retry_after_s")
    return error


def _details_of(status: Any) -> dict[str, Any]:
    """What google.rpc.Status says beside code and text."""
    found: dict[str, Any] = {}
    for detail in status.details:
        kind = detail.type_url.rpartition(".")[2]
        if kind == "ErrorInfo":
            found["reason"] = _contract.ErrorInfo.FromString(
                detail.value
            ).reason
        elif kind == "BadRequest":
            bad = _contract.BadRequest.FromString(detail.value)
            for violation in bad.field_violations:
                found.setdefault("field", violation.field)
        elif kind == "RetryInfo":
            delay = _contract.RetryInfo.FromString(detail.value).retry_delay
            found["retry_after_s"] = delay.seconds + delay.nanos / 1e9
    return found


def _from_elsewhere(code: str, text: str) -> _Guess:
    """A status without details: gRPC's own, or a proxy's."""
    http = _HTTP.search(text)
    if http is not None:
        return _from_http(code, int(http[1]))
    if any(
        words in text
        for words in (
            "Bad GRPC frame type",
            "invalid value 'text/",
            "content-type: text/",
        )
    ):
        return _Guess(
            "UNAVAILABLE",
            "NO_GRPC_ANSWER",
            "what answers speaks no gRPC: a proxy's error page, or another"
            f" server's port ({text})",
        )
    if code in _CUT and "RST_STREAM" in text:
        return _Guess(
            "UNAVAILABLE",
            "STREAM_CUT",
            "the stream was cut on its way: the server went away, or a proxy"
            " in between has a limit of time or size (nginx:"
            " client_max_body_size, grpc_read_timeout; HAProxy: timeout"
            f" client, timeout server) ({text})",
        )
    return _Guess(code, "", text)


def _from_http(code: str, http: int) -> _Guess:
    """A page of HTTP instead of an answer."""
    answer = f" (HTTP status {http})"
    if http == 413:
        return _Guess(
            "RESOURCE_EXHAUSTED",
            "BODY_TOO_LARGE",
            "a proxy in between refuses bodies of this size (nginx:"
            f" client_max_body_size){answer}",
        )
    if http in (502, 503):
        return _Guess(
            "UNAVAILABLE",
            "NO_SERVER_BEHIND",
            f"a proxy in between reaches no server{answer}",
        )
    if http == 504:
        return _Guess(
            "UNAVAILABLE",
            "PROXY_TIMEOUT",
            "a proxy in between has waited too long for the server (nginx:"
            f" grpc_read_timeout){answer}",
        )
    return _Guess(
        code,
        "PROXY_REFUSED",
        "a proxy in between refuses the call, or what answers is no Timbre"
        f" server{answer}",
    )

"""The package's exceptions.

Every one says what to do about it: ``field`` names what was wrong with the
input, ``reason`` is for programs (UPPER_SNAKE_CASE), ``retry_after_s`` is the
server's advice where trying again helps.
"""

from __future__ import annotations

from typing import Optional, Sequence

__all__ = [
    "Aborted",
    "BadFrame",
    "DataLoss",
    "Error",
    "FailedPrecondition",
    "ForkError",
    "InvalidArgument",
    "Late",
    "NotFound",
    "ResourceExhausted",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
]


class Error(Exception):
    """What any call of this package may raise.

    Attributes:
      code: gRPC's name of the status, such as "INVALID_ARGUMENT".
      reason: why, for programs; empty where the server gave none.
      field: the field or argument that was wrong; empty if none was.
      retry_after_s: seconds after which to try again, as the server advises;
        None where it gives no advice.
    """

    code = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        code: Optional[str] = None,
        reason: str = "",
        field: str = "",
        retry_after_s: Optional[float] = None,
    ) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.reason = reason
        self.field = field
        self.retry_after_s = retry_after_s


class InvalidArgument(Error, ValueError):
    """An argument is wrong: `field` says which."""

    code = "INVALID_ARGUMENT"


class BadFrame(InvalidArgument):
    """Frames hold NaN, infinity or magnitudes above 1e15; nothing was sent.

    Attributes:
      rows: the numbers of the bad frames.
    """

    def __init__(self, message: str, rows: Sequence[int] = ()) -> None:
        super().__init__(message, reason="BAD_FRAME", field="frames")
        self.rows = list(rows)


class NotFound(Error, LookupError):
    """No such speaker, or no such version of it."""

    code = "NOT_FOUND"


class FailedPrecondition(Error):
    """Not in this state: the speaker has no active version, for example."""

    code = "FAILED_PRECONDITION"


class Aborted(Error):
    """Lost to a concurrent change of the same speaker."""

    code = "ABORTED"


class DataLoss(Error):
    """The files of this version are damaged."""

    code = "DATA_LOSS"


class ResourceExhausted(Error):
    """Overloaded where `retry_after_s` is given, else a limit."""

    code = "RESOURCE_EXHAUSTED"


class Unavailable(Error):
    """The server could not be reached, or went away, for too long."""

    code = "UNAVAILABLE"


class Late(Error, TimeoutError):
    """There was no answer within `latency_budget_s`."""

    code = "DEADLINE_EXCEEDED"


class Unimplemented(Error, NotImplementedError):
    """This server does not know the call."""

    code = "UNIMPLEMENTED"


class Unauthenticated(Error):
    """The token is missing or wrong."""

    code = "UNAUTHENTICATED"


class ForkError(Error, RuntimeError):
    """A client was used in a child process that was forked after it."""

    code = "FAILED_PRECONDITION"


BY_CODE = {
    cls.code: cls
    for cls in (
        InvalidArgument,
        NotFound,
        FailedPrecondition,
        Aborted,
        DataLoss,
        ResourceExhausted,
        Unavailable,
        Late,
        Unimplemented,
        Unauthenticated,
    )
}

"""How long a call goes on trying, and when it tries again."""

from __future__ import annotations

import random
import time
from typing import Optional, Protocol

from timbre import errors
from timbre._exchange import Ended
from timbre._status import error_of, is_servers_own, was_never_sent

# What a stream says that a proxy or the connection broke, beside UNAVAILABLE.
# Search and Blend change nothing, so that asking again is always safe. OK: the
# end of a stream whose server, or a proxy, does not wait for the next message.
_BROKEN = {"CANCELLED", "INTERNAL", "UNKNOWN", "OK"}
# A first connection may fail without a reason: gRPC 1.51 takes a wrong errno
# for connect()'s on busy machines.
_CONNECTING_S = 1.0
_FIRST_DELAY_S = 0.05
_LONGEST_DELAY_S = 2.0


class Way(Protocol):
    """To a server."""

    def in_the_way(self) -> str: ...


class Patience:
    """Of one call. Not thread-safe.

    Args:
      timeout_s: give up after so long without an answer.
      budget_s: give up after so long in all; overrides `timeout_s`.
      way: of whose obstacles an error's text tells.
      once: the call changes something, and is repeated only where that was
        surely not done: it was not sent, or the server has refused it.
    """

    _failures = 0
    _last: Optional[errors.Error] = None

    def __init__(
        self,
        timeout_s: float,
        budget_s: Optional[float] = None,
        way: Optional[Way] = None,
        once: bool = False,
    ) -> None:
        self._timeout_s = timeout_s
        self._once = once
        self._way = way
        self.budget_s = budget_s
        self._start = start = time.monotonic()
        self.deadline = start + (timeout_s if budget_s is None else budget_s)

    def silence_ends(self) -> float:
        """When an attempt is over that says nothing from now on
        (time.monotonic)."""
        return time.monotonic() + self._timeout_s

    def progress(self) -> None:
        """An answer came."""
        if self._failures:
            self._failures = 0
            self._last = None
        if self.budget_s is None:
            self.deadline = time.monotonic() + self._timeout_s

    def after(self, ended: Ended, was_idle: bool) -> float:
        """Seconds to wait before the next attempt; raises if there is none.

        Args:
          ended: how the last attempt ended.
          was_idle: its stream was an old one, which may have ended long ago:
            what the server advised then is over. A proxy may have counted all
            that it ever carried.
        """
        error = error_of(ended.code, ended.message, ended.metadata)
        left = self.deadline - time.monotonic()
        # A call's own deadline counts as silence.
        silent = error.code == "DEADLINE_EXCEEDED"
        too_large = error.reason == "BODY_TOO_LARGE" and was_idle
        if not (may_retry(error) or silent or too_large):
            raise error from None
        if silent:  # what was in the way before says more than that
            raise self.late(self._last or error) from None
        if left <= 0:
            raise self.late(error) from None
        if self._once:
            left = min(left, self._left_for(ended))
            if left <= 0:
                raise self._hinted(error) from None
        if was_idle and (too_large or error.code != "RESOURCE_EXHAUSTED"):
            return 0
        delay = error.retry_after_s
        if delay is None:
            delay = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2**self._failures)
            delay *= random.uniform(0.5, 1.0)
            delay = min(delay, left)  # a last attempt at the end
        self._failures += 1
        self._last = error
        if delay > left:
            raise self.late(error) from None
        return delay

    def late(self, error: Optional[errors.Error] = None) -> errors.Error:
        """What to raise when the time is over; `error` is what stood in the
        way, else what did so before."""
        error = error or self._last
        if self.budget_s is not None:
            why = f": {error}" if error else ""
            return errors.Late(
                f"no answer within {1e3 * self.budget_s:g} ms{why}",
                reason="LATE",
                retry_after_s=error.retry_after_s if error else None,
            )
        if error is not None and may_retry(error) and error.reason:
            return self._hinted(error)
        why = f" ({error})" if error else ""
        return errors.Unavailable(
            f"no answer for {self._timeout_s:g} s{why}{self._obstacles()}",
            reason="NO_ANSWER",
            retry_after_s=error.retry_after_s if error else None,
        )

    def _left_for(self, ended: Ended) -> float:
        """How long a change may still be repeated that ended so."""
        if is_servers_own(ended.metadata):
            return self.deadline - time.monotonic()
        if was_never_sent(ended.code, ended.message):
            return self._start + _CONNECTING_S - time.monotonic()
        return 0

    def _hinted(self, error: errors.Error) -> errors.Error:
        error.args = (f"{error}{self._obstacles()}",)
        return error

    def _obstacles(self) -> str:
        return "" if self._way is None else self._way.in_the_way()


def may_retry(error: errors.Error) -> bool:
    """Whether the same request may be answered later."""
    if error.reason == "OUTCOME_UNKNOWN":
        return False
    if error.code == "RESOURCE_EXHAUSTED":
        return error.retry_after_s is not None
    if error.code == "UNAVAILABLE":
        return True
    return error.code in _BROKEN and not error.reason

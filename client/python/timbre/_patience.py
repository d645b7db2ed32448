"""How long a call goes on trying, and when it tries again."""

from __future__ import annotations

import random
import time
from typing import Optional

from timbre import errors
from timbre._exchange import Ended

# What a stream says that a proxy or the connection broke, beside UNAVAILABLE.
# Search and Blend change nothing, so that asking again is always safe.
_BROKEN = {"CANCELLED", "INTERNAL", "UNKNOWN"}
_FIRST_DELAY_S = 0.05
_LONGEST_DELAY_S = 2.0


class Patience:
    """Of one call. Not thread-safe.

    Args:
      timeout_s: give up after so long without an answer.
      budget_s: give up after so long in all; overrides `timeout_s`.
    """

    def __init__(
        self, timeout_s: float, budget_s: Optional[float] = None
    ) -> None:
        self._timeout_s = timeout_s
        self.budget_s = budget_s
        self.deadline = time.monotonic() + (
            timeout_s if budget_s is None else budget_s
        )
        self._failures = 0

    def progress(self) -> None:
        """An answer came."""
        self._failures = 0
        if self.budget_s is None:
            self.deadline = time.monotonic() + self._timeout_s

    def after(self, ended: Ended, was_idle: bool) -> float:
        """Seconds to wait before the next attempt; raises if there is none.

        Args:
          ended: how the last attempt ended.
          was_idle: its stream was an old one, which may have ended long ago:
            what the server advised then is over.
        """
        error = errors.from_status(ended.code, ended.message, ended.metadata)
        left = self.deadline - time.monotonic()
        # A call's own deadline counts as silence.
        silent = error.code == "DEADLINE_EXCEEDED"
        if not (may_retry(error) or silent):
            raise error from None
        if left <= 0 or silent:
            raise self.late(error) from None
        if was_idle and error.code != "RESOURCE_EXHAUSTED":
            return 0
        delay = error.retry_after_s
        if delay is None:
            delay = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2**self._failures)
            delay *= random.uniform(0.5, 1.0)
            delay = min(delay, left)  # a last attempt at the end
        self._failures += 1
        if delay > left:
            raise self.late(error) from None
        return delay

    def late(self, error: Optional[errors.Error] = None) -> errors.Error:
        """What to raise when the time is over; `error` is what stood in the
        way."""
        if self.budget_s is not None:
            why = f": {error}" if error else ""
            return errors.Late(
                f"no answer within {1e3 * self.budget_s:g} ms{why}",
                reason="LATE",
                retry_after_s=error.retry_after_s if error else None,
            )
        if error is not None and may_retry(error) and error.reason:
            return error
        why = f" ({error})" if error else ""
        return errors.Unavailable(
            f"no answer for {self._timeout_s:g} s{why}",
            reason="NO_ANSWER",
            retry_after_s=error.retry_after_s if error else None,
        )


def may_retry(error: errors.Error) -> bool:
    """Whether the same request may be answered later."""
    if error.code == "RESOURCE_EXHAUSTED":
        return error.retry_after_s is not None
    if error.code == "UNAVAILABLE":
        return True
    return error.code in _BROKEN and not error.reason

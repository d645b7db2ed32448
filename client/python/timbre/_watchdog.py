"""Ends calls that take too long.

The thread that waits in a call cannot look at a clock, so one thread for all
calls of a client does.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Optional, Protocol


class Cancellable(Protocol):
    """What a watchdog ends."""

    def cancel(self) -> None: ...


class Watch:
    """One call's entry. `expired`: the watchdog ended it."""

    __slots__ = ("call", "deadline", "expired")

    def __init__(self, call: Cancellable) -> None:
        self.call = call
        self.deadline = math.inf
        self.expired = False


class Watchdog:
    """Thread-safe. Its thread starts with the first deadline and ends with
    `close`."""

    def __init__(self) -> None:
        # Every call takes it twice: by itself, since Condition's own methods
        # are Python's. Re-entrant: a signal handler or the garbage collector
        # may close a client on a thread that holds it.
        self._lock = threading.RLock()
        self._condition = threading.Condition(self._lock)
        self._watches: set[Watch] = set()
        self._next_look = math.inf
        self._thread: Optional[threading.Thread] = None
        self._closed = False

    def add(self, call: Cancellable) -> Watch:
        """Watches `call`, without a deadline yet."""
        watch = Watch(call)
        with self._lock:
            self._watches.add(watch)
        return watch

    def remove(self, watch: Watch) -> None:
        """Forgets a call."""
        with self._lock:
            self._watches.discard(watch)

    def arm(self, watch: Watch, deadline: float) -> None:
        """Ends the call at `deadline` (time.monotonic) unless disarmed. Wakes
        the thread only if it would look too late."""
        with self._lock:
            watch.deadline = deadline
            if deadline >= self._next_look:
                return
            self._next_look = deadline
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="timbre-watchdog", daemon=True
                )
                self._thread.start()
            else:
                self._condition.notify()

    def disarm(self, watch: Watch) -> None:
        """The call was answered; `watch.expired` where it was ended in the
        same moment."""
        with self._lock:
            watch.deadline = math.inf

    def close(self) -> None:
        """Ends the thread."""
        with self._lock:
            self._closed = True
            self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._closed:
                    return
                now = time.monotonic()
                due = [w for w in self._watches if w.deadline <= now]
                for watch in due:
                    watch.deadline = math.inf
                    watch.expired = True
                self._next_look = min(
                    (w.deadline for w in self._watches), default=math.inf
                )
                if not due:
                    self._condition.wait(
                        None
                        if self._next_look == math.inf
                        else self._next_look - now
                    )
            # Without the lock: grpcio has locks of its own.
            for watch in due:
                watch.call.cancel()

"""Ends calls that take too long.

The thread that waits in a call cannot look at a clock, so one thread for all
calls of a client does.
"""

from __future__ import annotations

import math
import queue
import threading
import time
import weakref
from typing import Any

from timbre import _threads
from timbre._threads import Cancellable

# The longest that a queue can wait is about this.
_LONGEST_SLEEP_S = 1e6


class Watch:
    """One call's entry. `expired`: the watchdog ended it. `grave`: for
    whoever watches over the entry's owner."""

    __slots__ = ("call", "deadline", "expired", "grave")

    def __init__(self, call: Cancellable) -> None:
        self.call = call
        self.deadline = math.inf
        self.expired = False
        self.grave: Any = None


class Watchdog:
    """Thread-safe. Its thread starts with the first deadline and ends with
    `close`, or with the one that it serves."""

    def __init__(self) -> None:
        # Re-entrant: a signal handler may close a client on a thread that
        # holds it.
        self._lock = threading.RLock()
        self._watches: set[Watch] = set()
        self._next_look = math.inf
        # Not a Condition, whose methods are Python: see _threads.
        self._wake: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._running = False
        self._closed = False

    def serve(self, master: Any) -> None:
        """Ends with `master`, too."""
        self._master = weakref.ref(master, self._wake.put)

    def __len__(self) -> int:
        """How many calls it watches."""
        return len(self._watches)

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
        watch.deadline = deadline
        # Without the lock, which every block would take: while the thread
        # looks, this is infinite, so what it has missed wakes it.
        if deadline < self._next_look:
            self._look_sooner(deadline)

    def _look_sooner(self, deadline: float) -> None:
        with self._lock:
            if deadline >= self._next_look:
                return
            if not self._running:
                _threads.start(self._run)
                self._running = True
            self._wake.put(None)
            # Last: interrupted before, the next deadline wakes it again.
            self._next_look = deadline

    def disarm(self, watch: Watch) -> None:
        """The call was answered; `watch.expired` where it was ended in the
        same moment."""
        with self._lock:
            watch.deadline = math.inf

    def close(self) -> None:
        """Ends the thread."""
        self._closed = True
        self._wake.put(None)

    def _run(self) -> None:
        while not self._closed:
            with self._lock:
                self._next_look = math.inf
                now = time.monotonic()
                due = [w for w in self._watches if w.deadline <= now]
                for watch in due:
                    watch.deadline = math.inf
                    watch.expired = True
                next_look = min(
                    (w.deadline for w in self._watches), default=math.inf
                )
                self._next_look = next_look
            # Without the lock: grpcio has locks of its own.
            for watch in due:
                watch.call.cancel()
            if not due and self._slept(next_look - now) is not None:
                break  # its master has gone
        self._wake.put(None)  # should there be another, interrupted start

    def _slept(self, seconds: float) -> Any:
        try:
            return self._wake.get(
                timeout=min(max(0.0, seconds), _LONGEST_SLEEP_S)
            )
        except queue.Empty:
            return None

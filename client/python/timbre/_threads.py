"""Work on threads where no signal handler runs.

Python runs signal handlers on the main thread, between any two steps of Python
code, and most of threading and of grpcio is such code: what a handler raises
there (KeyboardInterrupt, a timeout) leaves locks held, events unheard and
calls open. So the main thread has its calls done by others, and waits for
them in steps that are C, each done or not begun. Live blocks alone it
exchanges by itself, see _exchange.
"""

from __future__ import annotations

import _thread
import queue
import threading
from typing import Any, Callable, Iterator, Optional, Protocol, TypeVar

T = TypeVar("T")
# A caller waits so long for what it has interrupted to put its files right.
_SETTLING_S = 1.0
_local = threading.local()


class Cancellable(Protocol):
    """A call."""

    def cancel(self) -> Any: ...


class Cancelled(Exception):
    """Whoever waited for this work has gone."""


class Scope:
    """One call of the package, whose caller may go: `cancel` ends what it has
    under way, and what it would begin. Thread-safe.

    Attributes:
      gone: whether it has.
    """

    def __init__(self) -> None:
        self._call: Optional[Cancellable] = None
        self.gone = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def check(self) -> None:
        """Raises Cancelled."""
        if self.gone:
            raise Cancelled

    def begin(self, call: Cancellable) -> None:
        """`call` is under way now."""
        self._call = call
        if self.gone:
            call.cancel()

    def ended(self) -> None:
        """The call is over. Whoever drops a call of grpcio last runs its
        __del__, which is Python and swallows what a signal handler raises: not
        the main thread, then, also not by way of an exception's frames."""
        self._call = None

    def sleep(self, seconds: float) -> None:
        """Waits. Raises Cancelled at once."""
        try:
            self._wake.get(timeout=seconds)
        except queue.Empty:
            pass
        self.check()

    def cancel(self) -> None:
        """Not on a main thread: grpcio's cancelling is Python code."""
        self.gone = True
        self._wake.put(None)
        call = self._call
        if call is not None:
            call.cancel()


# Work of one call; the second argument says something to the caller, on the
# caller's thread.
Work = Callable[[Scope, Callable[[Any], None]], T]


def start(work: Callable[..., Any], *arguments: Any) -> None:
    """Starts a thread, in one step; it does not keep the process. (A
    threading.Thread takes many, and one that is interrupted never runs.)"""
    _thread.start_new_thread(work, arguments)


def on_main() -> bool:
    """Whether signal handlers may run on this thread."""
    return threading.get_ident() == threading.main_thread().ident


def within(scope: Scope, work: Callable[..., T], *arguments: Any) -> T:
    """work(*arguments), whose call `scope` ends."""
    _local.scope = scope
    try:
        return work(*arguments)
    finally:
        _local.scope = None


def aside(
    work: Work[T],
    hear: Callable[[Any], None] = lambda _: None,
    settle: bool = False,
) -> T:
    """What work(scope, say) returns or raises, done where no signal handler
    runs.

    Args:
      hear: is called with what is said, on this thread.
      settle: an interrupted caller waits, a second at most, until `work` has
        tidied up.
    """
    if not on_main():
        return work(getattr(_local, "scope", None) or Scope(), hear)
    scope = Scope()
    events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    try:
        try:
            start(_do, work, scope, events)
        except RuntimeError:  # the interpreter ends: no more threads
            return work(scope, hear)
        while True:
            kind, value = events.get()
            if kind == "returned":
                result: T = value
                return result
            if kind == "raised":
                raise value
            hear(value)
    except BaseException:
        end(scope)
        if settle:
            _await_end(events)
        raise


def heard(work: Work[None]) -> Iterator[Any]:
    """What `work` says, as it says it, on a thread of its own: a caller that
    stops listening ends it."""
    scope = Scope()
    events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    try:
        start(_do, work, scope, events)
        while True:
            kind, value = events.get()
            if kind == "returned":
                return
            if kind == "raised":
                raise value
            yield value
    except BaseException:
        end(scope)
        raise


def end(scope: Scope) -> None:
    """Cancels what another thread does, without waiting."""
    scope.gone = True
    try:
        start(scope.cancel)
    except RuntimeError:  # the interpreter ends: no more threads
        scope.cancel()


def _do(
    work: Work[Any], scope: Scope, events: queue.SimpleQueue[Any]
) -> None:
    try:
        result = work(scope, lambda value: events.put(("said", value)))
    except BaseException as error:  # the caller's to see
        events.put(("raised", error))
    else:
        # Its caller may have gone; an exception keeps what is in the queue.
        events.put(("returned", None if scope.gone else result))


def _await_end(events: queue.SimpleQueue[Any]) -> None:
    try:
        while events.get(timeout=_SETTLING_S)[0] == "said":
            pass
    except queue.Empty:
        pass

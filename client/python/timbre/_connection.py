"""What all calls of a client share."""

from __future__ import annotations

import collections
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Optional

import grpc

from timbre import _contract, _threads, errors
from timbre._address import Address, proxy_of
from timbre._exchange import Ended, calm
from timbre._patience import Patience
from timbre._status import was_never_sent
from timbre._threads import Scope
from timbre._watchdog import Watchdog

if TYPE_CHECKING:
    from timbre._streams import Stream, Streams

# Streams of one connection that common proxies allow: HAProxy 100, nginx 128.
_FEW_STREAMS = 100


class Grave(weakref.ref):
    """Of what was forgotten while it had streams open. Its owner's end puts it
    into Connection.forgotten, in C: Python code of the garbage collector may
    run on any thread, inside any lock, and swallows what a signal handler
    raises in it."""

    def bury(self) -> None:
        """Ends the streams."""
        raise NotImplementedError


class Connection:
    """Channel, headers, watchdog, and the streams that are kept for reuse.
    Thread-safe.

    Attributes:
      exchanges: whether a main thread may exchange messages by itself.
      idle: streams that nobody uses, the least recently used first, with the
        queue of their pool. Whoever takes one out has it to itself.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        address: Address,
        headers: tuple[tuple[str, str], ...],
        timeout_s: float,
        max_idle_streams: int,
    ) -> None:
        self.channel = channel
        self.timeout_s = timeout_s
        self.max_idle_streams = max_idle_streams
        self.exchanges = calm(channel)
        self.watchdog = Watchdog()
        self.watchdog.serve(self)
        self._address = address
        self._headers = headers
        self._pid = os.getpid()
        self.closed = False
        self.idle: dict[Stream, collections.deque[Stream]] = {}
        # The next call ends what is in there.
        self.forgotten: collections.deque[Grave] = collections.deque()
        self._pools: set[Grave] = set()
        self._lock = threading.RLock()

    def metadata(self, speaker: str = "") -> tuple[tuple[str, str], ...]:
        """Of a call; the speaker is there for proxies."""
        if not speaker:
            return self._headers
        if not (speaker.isascii() and speaker.isprintable()):
            # No header can carry it; and no speaker is called so.
            raise errors.InvalidArgument(
                f'speaker "{speaker}": must be [a-z0-9], then up to 62 of'
                " [a-z0-9._-]",
                field="speaker",
                reason="INVALID_FIELD",
            )
        return (*self._headers, ("timbre-speaker", speaker))

    def check(self) -> None:
        """Raises if this client must not be used (any more)."""
        if self.closed:
            raise errors.FailedPrecondition(
                "the client is closed", reason="CLIENT_CLOSED"
            )
        if self._pid != os.getpid():
            raise errors.ForkError(
                f"this client belongs to process {self._pid}: gRPC does not"
                " survive a fork. Make a client in the child, or start"
                " children by spawn",
                reason="FORKED",
            )

    def patience(
        self,
        budget_s: Optional[float] = None,
        *,
        once: bool = False,
        timeout_s: Optional[float] = None,
    ) -> Patience:
        """For one call."""
        return Patience(timeout_s or self.timeout_s, budget_s, self, once)

    def rest(self, ended: Ended, seconds: float, scope: Scope) -> None:
        """Waits before the next attempt, at most so long."""
        if not was_never_sent(ended.code, ended.message):
            scope.sleep(seconds)
            return
        # gRPC connects only while somebody waits in a call, and calls fail at
        # once while it does not: so one waits that may. Ready is ready.
        _threads.aside(lambda *_: self.await_ready(seconds))
        scope.check()

    def await_ready(self, seconds: float = 1.0) -> None:
        """Connects, if it can be done in that time."""
        call = self.channel.unary_unary(_contract.CATALOG + "GetServerInfo")
        try:
            call(
                b"",
                metadata=self._headers,
                timeout=seconds,
                wait_for_ready=True,
            )
        except (grpc.RpcError, ValueError):  # not yet; or closed meanwhile
            pass

    def add(self, pool: Grave) -> None:
        """Closes a pool with the connection."""
        with self._lock:
            self._pools.add(pool)

    def remove(self, pool: Grave) -> None:
        """Forgets a pool."""
        with self._lock:
            self._pools.discard(pool)

    def is_ours(self) -> bool:
        """Whether this process made it; else it must not be touched."""
        return self._pid == os.getpid()

    def bury(self) -> None:
        """Ends the streams that were forgotten."""
        # Whoever is interrupted with one in hand would forget it for good.
        _threads.aside(lambda *_: self._bury())

    def _bury(self) -> None:
        while self.forgotten:
            try:
                grave = self.forgotten.popleft()
            except IndexError:  # another thread was faster
                return
            grave.bury()

    def give_back(self) -> None:
        """Closes idle streams above the limit."""
        while len(self.idle) > self.max_idle_streams:
            try:
                stream = next(iter(self.idle))
            except (StopIteration, RuntimeError):  # another thread was faster
                continue
            pool = self.idle.pop(stream, None)
            if pool is None:
                continue
            try:
                pool.remove(stream)
            except (IndexError, ValueError):  # somebody has it in hand
                pass
            try:  # it takes a round trip
                _threads.start(stream.close, time.monotonic() + 1)
            except RuntimeError:  # the interpreter ends: no more threads
                stream.abandon()

    def close(self) -> None:
        """Ends all streams and the connection."""
        if self.closed or not self.is_ours():
            return
        self.closed = True
        _threads.aside(lambda *_: self._close())

    def _close(self) -> None:
        with self._lock:
            pools: list[Any] = [pool() for pool in self._pools]
        for pool in pools:
            if pool is not None:
                pool.close()
        self.bury()
        self.channel.close()
        self.watchdog.close()

    def in_the_way(self) -> str:
        """What a silent server may be no cause of."""
        found = ""
        proxy = proxy_of(self._address)
        if proxy:
            found += f"; the way leads through the proxy {proxy}"
        streams = len(self.watchdog)
        if streams >= _FEW_STREAMS - 1:
            found += (
                f"; this client has {streams} streams open, of which it keeps"
                f" {self.max_idle_streams} for reuse (max_idle_streams):"
                " proxies allow 100 (HAProxy) or 128 (nginx) at once"
            )
        return found

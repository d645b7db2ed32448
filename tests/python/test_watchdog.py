"""The thread that ends calls which take too long."""

import signal
import threading
import time

from timbre._watchdog import Watchdog


class Call:
    def __init__(self):
        self.cancelled = threading.Event()

    def cancel(self):
        self.cancelled.set()


def test_a_call_is_ended_at_its_deadline_and_says_so():
    watchdog = Watchdog()
    call = Call()
    watch = watchdog.add(call)
    watchdog.arm(watch, time.monotonic() + 0.05)
    assert call.cancelled.wait(10)
    assert watch.expired
    watchdog.close()


def test_a_sooner_deadline_than_the_last_is_kept():
    watchdog = Watchdog()
    calls = [Call(), Call()]
    for call, seconds in zip(calls, (600, 0.05)):
        watchdog.arm(watchdog.add(call), time.monotonic() + seconds)
    assert calls[1].cancelled.wait(10)
    assert not calls[0].cancelled.is_set()
    watchdog.close()


def test_a_signal_handler_may_close_it_on_a_thread_that_holds_its_lock():
    watchdog = Watchdog()
    before = signal.signal(signal.SIGUSR1, lambda *_: watchdog.close())
    try:
        with watchdog._lock:
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert watchdog._closed

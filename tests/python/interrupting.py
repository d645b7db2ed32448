"""Signal handlers that raise in the middle of a call."""

import contextlib
import gc
import signal


class Timeout(Exception):
    """What a worker's own handler of SIGALRM raises."""


KINDS = [KeyboardInterrupt, SystemExit, Timeout]


@contextlib.contextmanager
def raising(kind, fired):
    """SIGALRM raises `kind` within; `fired` gets it. No garbage is collected
    meanwhile: Python drops what a handler raises in a finalizer, here in that
    of a channel which a test before had left."""

    def handler(*_):
        fired.append(kind())
        raise fired[-1]

    collects = gc.isenabled()
    gc.disable()
    before = signal.signal(signal.SIGALRM, handler)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if collects:
            gc.enable()


def outcome(call, seconds, kind):
    """What call() returns or raises where `kind` is raised after so long, and
    whether it was."""
    fired = []
    with raising(kind, fired):
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            came = call()
            signal.setitimer(signal.ITIMER_REAL, 0)
        except BaseException as error:
            came = error
    return came, fired

"""A TCP proxy that breaks connections: faults for a client to survive."""

import random
import socket
import threading


class Proxy:
    """Forwards to the port `target`. After `plan()` bytes of a connection, in either
    direction, it resets it; None: never."""

    def __init__(self, target, plan=lambda: None, port=0):
        self.target = target
        self.plan = plan
        self.broken = 0
        self._open = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            left = [self.plan()]
            with self._lock:
                self._open.append((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(
                    target=self._forward, args=(source, sink, left),
                    daemon=True,
                ).start()

    def _forward(self, source, sink, left):
        try:
            while data := source.recv(65536):
                if left[0] is not None:
                    with self._lock:
                        before = left[0]
                        left[0] -= len(data)
                        self.broken += before >= 0 > left[0]
                    if left[0] < 0:
                        break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            _reset(end)

    def break_all(self):
        """Breaks what is open."""
        with self._lock:
            pairs, self._open = self._open, []
        for near, far in pairs:
            self.broken += 1
            _reset(near)
            _reset(far)

    def close(self):
        self._listener.close()
        self.break_all()


def at_random(seed, least, most):
    """A plan: each connection lives for some bytes."""
    source = random.Random(seed)
    return lambda: source.randrange(least, most)


def _reset(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass

"""A timbred process of a test's own."""

import os
import pathlib
import signal
import socket
import subprocess
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("TIMBRE_BIN", ROOT / "build" / "bin"))


class Timbred:
    """Restartable on the same data directory."""

    def __init__(
        self, directory, *flags, env=None, listen="127.0.0.1:0", within=(),
        popen=None,
    ):
        """`within`: a command that becomes what follows it, as prlimit does:
        a preexec_fn would run Python in the fork of a process with threads,
        which can hang. `popen`: more arguments of subprocess.Popen."""
        self.directory = pathlib.Path(directory)
        self.flags = flags
        self.env = env
        self.listen = listen
        self.within = within
        self.popen = popen or {}
        self.process = None

    def launch(self):
        """Begins to start."""
        self.port_file = self.directory / "ports"
        self.port_file.unlink(missing_ok=True)
        self.log = open(self.directory / "log", "ab")
        self.process = subprocess.Popen(
            [
                *self.within,
                BIN / "timbred",
                f"--data_dir={self.directory / 'data'}",
                f"--listen={self.listen}",
                "--metrics_listen=127.0.0.1:0",
                f"--port_file={self.port_file}",
                "--min_free_disk=0",
                # Files that a test damages are found when it looks.
                "--scrub_rate=0",
                *self.flags,
            ],
            **{"stderr": self.log, "env": self.env, **self.popen},
        )

    def has_begun(self):
        """Whether it listens, or has ended."""
        return self.port_file.exists() or self.process.poll() is not None

    def read_ports(self):
        if self.process.poll() is not None:
            raise RuntimeError((self.directory / "log").read_text())
        ports = dict(
            line.split("=") for line in self.port_file.read_text().splitlines()
        )
        self.port = int(ports["grpc"])
        self.metrics_port = int(ports["metrics"])
        self.address = f"127.0.0.1:{self.port}"

    def start(self):
        self.launch()
        wait_for(self.has_begun)
        self.read_ports()
        return self

    def stop(self, sig=signal.SIGTERM):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(sig)
        code = self.process.wait(timeout=60)
        self.process = None
        self.log.close()
        return code


def free_port():
    """A port of loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds=30):
    """Polls a condition of another process."""
    event = threading.Event()
    for _ in range(int(seconds * 100)):
        if condition():
            return
        event.wait(0.01)
    raise AssertionError("waited in vain")

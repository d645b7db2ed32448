"""Live streams beside a sweep over all voices: a part of catalog.py."""

import json
import statistics
import subprocess
import tempfile
import threading

import catalog_voices as voices
from timbred import BIN

import timbre

STREAMS = 50
VOICES = 4  # of those with most frames


class Sweep:
    """Opens one voice after the other, as fast as the server does."""

    def __init__(self, address, count):
        self._client = timbre.Client(address)
        self._count = count
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.opened = 0

    def _run(self):
        while not self._stop.is_set():
            self._client.warm(voices.voice_name(self.opened % self._count))
            self.opened += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._client.close()


def live_milliseconds(address, seconds, speakers):
    """p50 and p99 of live answers, by timbre load."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        subprocess.run(
            [BIN / "timbre", "load", "live", f"--server={address}",
             *(f"--speaker={speaker}" for speaker in speakers),
             f"--streams={STREAMS}", f"--duration={seconds}s",
             f"--json={report.name}"],
            check=True, stdout=subprocess.DEVNULL,
        )
        (phase,) = json.load(open(report.name))["phases"]
    times = phase["groups"][0]["latency_ms"]
    return {"p50": times["p50"], "p99": times["p99"]}


def measure_sweep(server, count, seconds, rounds):
    """Quiet and swept, in turn; the medians of both, and of their ratios."""
    kinds = voices.templates_of(count)
    large = [voices.voice_name(i) for i in kinds.argsort()[-VOICES:]]
    pairs, rate = [], []
    for _ in range(rounds):
        quiet = live_milliseconds(server.address, seconds, large)
        with Sweep(server.address, count) as sweep:
            beside = live_milliseconds(server.address, seconds, large)
        pairs.append((quiet, beside))
        rate.append(sweep.opened / (seconds + 2))  # load warms up for 2 s
    return {
        "what": "sweep", "rounds": rounds, "seconds": seconds,
        "quiet_p99_ms": statistics.median(q["p99"] for q, _ in pairs),
        "swept_p99_ms": statistics.median(s["p99"] for _, s in pairs),
        "p50_ratio": statistics.median(s["p50"] / q["p50"] for q, s in pairs),
        "p99_ratio": statistics.median(s["p99"] / q["p99"] for q, s in pairs),
        "opened_per_second": statistics.median(rate),
    }

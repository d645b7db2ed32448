"""What a server says of itself, and what the system says of it: see catalog.py.

Series that a server does not have are None: older ones count no openings.
"""

import asyncio
import os
import pathlib
import re
import time
import urllib.request

_SERIES = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
SAMPLE_S = 0.5


class Metrics:
    """One scrape."""

    def __init__(self, port):
        url = f"http://127.0.0.1:{port}/metrics"
        text = urllib.request.urlopen(url, timeout=10).read().decode()
        self._series = {}
        for name, labels, value in _SERIES.findall(text):
            key = tuple(_LABEL.findall(labels))
            self._series.setdefault(name, {})[key] = float(value)

    def total(self, name):
        """The sum of a series over its labels."""
        if name not in self._series:
            return None
        return sum(self._series[name].values())

    def by(self, name, label):
        """Its sums for each value of a label; empty: no such series."""
        sums = {}
        for labels, value in self._series.get(name, {}).items():
            key = dict(labels).get(label, "")
            sums[key] = sums.get(key, 0) + value
        return sums


def growth(before, after, name, label):
    """Of a counter from one scrape to another, by a label; those of zero are
    left out."""
    start = before.by(name, label)
    ends = after.by(name, label)
    grown = {key: value - start.get(key, 0) for key, value in ends.items()}
    return {key: value for key, value in grown.items() if value}


def found_open(before, after, streams):
    """The share of so many streams that found their voice open, None: the
    server does not count that."""
    name = "timbre_open_duration_seconds_count"
    if "open" in after.by(name, "from"):
        waited = growth(before, after, name, "from")
        return waited.get("open", 0) / max(1, sum(waited.values()))
    if after.total("timbre_opens_total") is None:
        return None
    # Who waits for an opening that another began counts as well.
    opened = growth(before, after, "timbre_opens_total", "result")
    return max(0, 1 - sum(opened.values()) / max(1, streams))


def rate(before, after, name, label, seconds):
    """Of a counter, by a label; None: there is no such series."""
    if after.total(name) is None:
        return None
    return {
        key: value / seconds
        for key, value in growth(before, after, name, label).items()
    }


def anonymous_bytes(pid):
    """Memory that no file backs: the page cache is not the server's."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(re.search(r"^RssAnon:\s+(\d+)", status, re.M)[1])


def cpu_seconds(pid):
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    fields = text.rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


async def sample_memory(server, samples):
    """Appends [seconds, anonymous bytes, what the server says that its voices
    hold] until it is cancelled."""
    loop = asyncio.get_running_loop()
    start = time.monotonic()
    while True:
        # Not on the loop, which would keep blocks waiting.
        metrics = await loop.run_in_executor(
            None, Metrics, server.metrics_port
        )
        samples.append([
            time.monotonic() - start,
            anonymous_bytes(server.process.pid),
            metrics.total("timbre_resident_bytes"),
        ])
        await asyncio.sleep(SAMPLE_S)

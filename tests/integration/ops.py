"""What tests of operation share."""

import pathlib
import urllib.request

HEALTH = "/grpc.health.v1.Health/"


def health(server, service=""):
    """The status byte of grpc.health.v1: 1 SERVING, 2 NOT_SERVING."""
    request = b"\x0a" + bytes([len(service)]) + service.encode()
    answer = server.channel.unary_unary(HEALTH + "Check")(
        request if service else b""
    )
    return answer[1] if answer else 0


def scrape(server):
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"
    with urllib.request.urlopen(url) as response:
        return response.read().decode()


def rss(pid):
    return _memory(pid, "VmRSS")


def peak_rss(pid):
    return _memory(pid, "VmHWM")


def _memory(pid, what):
    """Bytes, of a line of the process's status."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) * 1024
    raise AssertionError


def queued_frames(server):
    for line in scrape(server).splitlines():
        if line.startswith("timbre_queued_frames "):
            return float(line.split()[1])
    raise AssertionError("no timbre_queued_frames")

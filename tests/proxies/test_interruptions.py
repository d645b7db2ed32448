"""Restarts, reloads, timeouts of proxies and servers that are away: every
frame is answered once, and what cannot be answered says why."""

import concurrent.futures
import contextlib
import re
import threading
import urllib.request

import numpy as np
import pytest
from conftest import run_timbre, speech, wait_for
from proxies import Settings

import timbre

SHORT = "1s"
# Kind -> where its settings say how long a stream may be idle.
IDLE = {
    ("nginx", Settings.MINIMAL): [
        ("location / {", f"location / {{ grpc_read_timeout {SHORT};")],
    ("nginx", Settings.DOCUMENTED): [("1h", SHORT)],
    ("haproxy", Settings.MINIMAL): [("50s", SHORT)],
    ("haproxy", Settings.DOCUMENTED): [("1h", SHORT)],
    ("envoy", Settings.MINIMAL): [
        ("stat_prefix: timbre",
         f"stat_prefix: timbre\n          stream_idle_timeout: {SHORT}")],
    ("envoy", Settings.DOCUMENTED): [("3600s", SHORT)],
}
# What is said where the server is away; Envoy answers as gRPC does.
AWAY = {
    "nginx": "reaches no server",
    "haproxy": "reaches no server",
    "envoy": "upstream connect error",
}
SETTINGS = pytest.mark.parametrize(
    "settings", list(Settings), ids=lambda each: each.value
)


def streams_in_flight(server):
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"
    text = urllib.request.urlopen(url).read().decode()
    pattern = r'^timbre_streams_in_flight\{rpc="Blend"\} (\d+)'
    return int(re.search(pattern, text, re.M | re.I)[1])


class Conversion(threading.Thread):
    """Converts the same frames again and again, in blocks of `rows`."""

    def __init__(self, voice, frames, expected, rows):
        super().__init__()
        self.done = 0  # blocks
        self.error = None
        self._voice, self._rows = voice, rows
        self._frames, self._expected = frames, expected
        self._stop_asked = threading.Event()

    def run(self):
        try:
            while not self._stop_asked.is_set():
                first = self.done * self._rows % len(self._frames)
                block = slice(first, first + self._rows)
                np.testing.assert_array_equal(
                    self._voice.blend(self._frames[block]),
                    self._expected[block],
                )
                self.done += 1
        except BaseException as error:  # noqa: BLE001 - to the main thread
            self.error = error

    def stop(self):
        self._stop_asked.set()
        self.join()
        if self.error:
            raise self.error


@contextlib.contextmanager
def conversions(server, proxy):
    """Four live ones and an offline one; a function that waits until each has
    had answers to messages that it began afterwards."""
    frames = speech(3200, 256, seed=1)
    with timbre.Client(server.address) as client:
        client.build("voice", speech(500, 256), index_factory="Flat")
        expected = client.speaker("voice").blend(frames)
    with timbre.Client(proxy.address, timeout_s=20) as client:
        running = [
            Conversion(client.speaker("voice"), frames, expected, rows)
            for rows in (16, 16, 16, 16, 800)
        ]
        for each in running:
            each.start()

        def go_on():
            before = [each.done for each in running]
            wait_for(lambda: any(each.error for each in running) or all(
                each.done > count + 1 for each, count in zip(running, before)
            ))

        go_on()
        try:
            yield go_on
        finally:
            for each in running:
                each.stop()


def test_every_frame_is_answered_over_restarts_of_the_server(pair):
    server, proxy = pair()
    with conversions(server, proxy) as go_on:
        for _ in range(2):
            assert server.stop() == 0
            server.start()
            go_on()


def test_every_frame_is_answered_over_restarts_of_the_proxy(pair):
    server, proxy = pair()
    with conversions(server, proxy) as go_on:
        for _ in range(2):
            proxy.stop()
            proxy.start()
            go_on()


def test_every_frame_is_answered_over_reloads_of_the_proxy(pair):
    server, proxy = pair()
    if not hasattr(proxy, "reload"):
        pytest.skip("takes new settings without a restart")
    with conversions(server, proxy) as go_on:
        for _ in range(2):
            proxy.reload()
            go_on()


@SETTINGS
def test_streams_that_were_idle_beyond_the_proxys_timeout(pair, settings, kind):
    server, proxy = pair(settings, changes=IDLE[kind, settings])
    frames = speech(16, 256, seed=1)
    with timbre.Client(server.address) as client:
        client.build("voice", speech(500, 256), index_factory="Flat")
        with client.speaker("voice") as voice:
            expected = voice.blend(frames)
        wait_for(lambda: streams_in_flight(server) == 0)
    with timbre.Client(proxy.address) as client:
        voice = client.speaker("voice")
        for _ in range(2):
            np.testing.assert_array_equal(voice.blend(frames), expected)
            assert streams_in_flight(server) == 1
            wait_for(lambda: streams_in_flight(server) == 0)
        np.testing.assert_array_equal(voice.blend(frames), expected)


def test_a_server_that_is_away_is_called_that(pair, kind, tmp_path):
    # HAProxy asks again for 3 s before it gives up.
    changes = [("timeout connect", "retries 0\n    timeout connect")]
    server, proxy = pair(changes=changes if kind == "haproxy" else ())
    frames = speech(500, 256)
    np.save(tmp_path / "x.npy", frames)
    with timbre.Client(proxy.address, timeout_s=1) as client:
        client.build("voice", frames, index_factory="Flat")
        voice = client.speaker("voice")
        assert server.stop() == 0

        def unavailable(call):
            with pytest.raises(timbre.Unavailable, match=AWAY[proxy.name]):
                call()

        def refused(arguments):
            done = run_timbre(proxy, *arguments, code=5, cwd=tmp_path)
            assert re.search(AWAY[proxy.name], done.stderr)

        at_once(
            (unavailable, lambda: voice.blend(frames)),
            (unavailable, lambda: client.speaker("voice")),
            (unavailable, lambda: client.build("voice", frames)),
            (refused, ("health",)),
            (refused, ("show", "voice")),
            (refused, ("blend", "voice", "x.npy", "out.npy")),
            (refused, ("build", "voice", "x.npy")),
        )
        server.start()
        run_timbre(proxy, "health")


def at_once(*calls):
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as threads:
        for done in [threads.submit(*call) for call in calls]:
            done.result()

"""latency_budget_s: a live stream never waits longer."""

import os
import pathlib
import signal
import time

import numpy as np
import pytest
import timbre
from conftest import wait_for


@pytest.fixture
def stopped(new_server, alice):
    """A voice whose server does not answer: SIGSTOP."""
    server = new_server()
    with timbre.Client(server.address, timeout_s=0.5) as client:
        client.build("alice", alice)
        voice = client.speaker("alice")
        voice.expected = voice.blend(alice[:16])
        stat = pathlib.Path(f"/proc/{server.process.pid}/stat")
        os.kill(server.process.pid, signal.SIGSTOP)
        wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
        yield voice, lambda: os.kill(server.process.pid, signal.SIGCONT)
        os.kill(server.process.pid, signal.SIGCONT)


def test_late_frames_come_back_as_they_were(stopped, queries):
    voice, _ = stopped
    for _ in range(3):
        start = time.monotonic()
        out, info = voice.blend(
            queries[:16], latency_budget_s=0.05, info=True
        )
        assert 0.04 < time.monotonic() - start < 0.5
        assert np.array_equal(out, queries[:16]) and out is not queries
        assert info.late


def test_late_raises_where_asked(stopped, queries):
    voice, _ = stopped
    with pytest.raises(timbre.Late, match="within 50 ms") as caught:
        voice.blend(queries[:16], latency_budget_s=0.05, on_late="raise")
    assert caught.value.reason == "LATE"
    with pytest.raises(timbre.Late):
        voice.search(queries[:16], latency_budget_s=0.05)
    assert isinstance(caught.value, TimeoutError)


def test_after_a_late_answer_the_next_is_right(stopped, alice, queries):
    voice, resume = stopped
    voice.blend(queries[:16], latency_budget_s=0.05)
    resume()
    assert np.array_equal(voice.blend(alice[:16]), voice.expected)


def test_what_is_wrong_is_never_late(client, voice, queries):
    """An error that trying again does not mend is raised, also where it came
    after the budget."""
    from timbre._exchange import Ended
    from timbre._patience import Patience

    patience = Patience(30, budget_s=0.0)
    with pytest.raises(timbre.DataLoss):
        patience.after(Ended("DATA_LOSS", "damaged", ()), was_idle=False)
    with pytest.raises(timbre.Late):
        patience.after(Ended("UNAVAILABLE", "gone", ()), was_idle=False)


def test_without_a_budget_silence_ends_at_the_timeout(stopped, queries):
    voice, _ = stopped
    with pytest.raises(timbre.Unavailable, match="no answer for 0.5 s"):
        voice.blend(queries[:16])


def test_a_lost_server_is_late_too(new_server, alice):
    server = new_server()
    with timbre.Client(server.address) as client:
        client.build("alice", alice)
        voice = client.speaker("alice")
        server.stop(signal.SIGKILL)
        start = time.monotonic()
        out = voice.blend(alice[:16], latency_budget_s=0.1)
        assert time.monotonic() - start < 1
        assert np.array_equal(out, alice[:16])


def test_a_budget_that_is_long_enough_changes_nothing(voice, queries):
    expected = voice.blend(queries)
    out, info = voice.blend(queries, latency_budget_s=20.0, info=True)
    assert np.array_equal(out, expected) and not info.late


def test_a_tiny_budget_passes_through_or_raises(voice, queries):
    many = np.tile(queries, (50, 1))
    out, info = voice.blend(many, latency_budget_s=2e-4, info=True)
    assert info.late or info.degradation in ("reduced", "passed_through")
    with pytest.raises(timbre.Late):
        voice.blend(many, latency_budget_s=2e-4, on_late="raise")


def test_silence_is_explained_by_what_was_in_the_way_before():
    """As behind HAProxy, which waits for 3 s before it says 503 again."""
    from timbre._exchange import Ended
    from timbre._patience import Patience

    patience = Patience(30)
    away = "Received http2 header with status: 503"
    patience.after(Ended("UNAVAILABLE", away, ()), was_idle=False)
    with pytest.raises(timbre.Unavailable, match="reaches no server"):
        patience.after(
            Ended("DEADLINE_EXCEEDED", "Deadline Exceeded", ()),
            was_idle=False,
        )

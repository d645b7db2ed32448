"""What is refused is not done: each answer around SIGTERM, and the state after
a restart."""

import re
import signal
import threading

import grpc
import pytest

from conftest import build_requests, details_of, pb, speech, to_frames, wait_for
from ops import scrape

FRAMES = speech(50)
VOICES = 16


class Callers:
    """Threads that make calls until the server answers none any more."""

    def __init__(self, server, kinds):
        self.outcomes = {}  # (kind, voice): an error, or none
        self.begun = threading.Semaphore(0)
        self.threads = [
            threading.Thread(target=self.call_all, args=(server, kind, voices))
            for kind in kinds
            for voices in (range(0, VOICES, 2), range(1, VOICES, 2))
        ]

    def call_all(self, server, kind, voices):
        for voice in voices:
            self.begun.release()
            try:
                kind(server, name_of(kind, voice))
                self.outcomes[kind, voice] = None
            except grpc.RpcError as error:
                self.outcomes[kind, voice] = error

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *args):
        for thread in self.threads:
            thread.join()


def name_of(kind, voice):
    return f"{kind.__name__}-{voice}"


def delete_speaker(server, name):
    server.catalog.DeleteSpeaker(pb.DeleteSpeakerRequest(speaker=name))


def delete_version(server, name):
    server.catalog.DeleteVersion(
        pb.DeleteVersionRequest(speaker=name, version=1)
    )


def activate_version(server, name):
    server.catalog.ActivateVersion(
        pb.ActivateVersionRequest(speaker=name, version=1)
    )


def build_version(server, name):
    server.build(name, FRAMES)


def tune_version(server, name):
    server.catalog.Tune(
        iter(
            [
                pb.TuneRequest(
                    speaker=name,
                    frames=to_frames(FRAMES),
                    apply=True,
                    target_recall=0.5,
                )
            ]
        )
    )


# Whether a voice, before and after, shows that the call was carried out.
DONE = {
    delete_speaker: lambda before, after: after is None,
    delete_version: lambda before, after: len(after.versions) == 1,
    activate_version: lambda before, after: after.active_version == 1,
    build_version: lambda before, after: len(after.versions) == 3,
    # Measured anew: no figure is the same.
    tune_version: lambda before, after: after.versions[-1].operating_points
    != before.versions[-1].operating_points,
}


def speakers(server):
    found = {}
    for kind in DONE:
        for voice in range(VOICES):
            name = name_of(kind, voice)
            try:
                found[name] = server.catalog.GetSpeaker(
                    pb.GetSpeakerRequest(speaker=name)
                )
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.NOT_FOUND
                found[name] = None
    return found


# How many calls are under way or answered when the signal comes.
@pytest.mark.parametrize("calls", [8, 24, 50])
def test_what_is_refused_as_the_server_stops_is_not_done(new_server, calls):
    server = new_server("--worker_threads=2", "--max_concurrent_builds=4")
    for kind in DONE:
        for voice in range(VOICES):
            for _ in range(2):
                server.build(name_of(kind, voice), FRAMES)
    before = speakers(server)
    with Callers(server, DONE) as callers:
        for _ in range(calls):
            callers.begun.acquire()
        server.process.send_signal(signal.SIGTERM)
    outcomes = callers.outcomes
    assert server.process.wait(timeout=30) == 0
    server.start()
    after = speakers(server)
    wrong = [
        (name, error)
        for (kind, voice), error in outcomes.items()
        for name in [name_of(kind, voice)]
        if DONE[kind](before[name], after[name]) != (error is None)
    ]
    assert not wrong
    refusals = [error for error in outcomes.values() if error]
    assert refusals and len(refusals) < len(outcomes)
    # CANCELLED: what gRPC says of calls that reach it after the last of ours.
    assert {error.code() for error in refusals} <= {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
    }


def test_a_build_that_is_cut_off_hears_so_and_is_not_there(new_server):
    server = new_server("--drain_timeout=1s")
    call = server.build_until_training("cut")
    server.process.send_signal(signal.SIGTERM)
    with pytest.raises(grpc.RpcError) as error:
        list(call)
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    assert details_of(error.value)["reason"] == "DRAINING"
    assert server.process.wait(timeout=30) == 0
    server.start()
    assert server.versions("cut") == []


def counted_builds(server):
    return {
        outcome: float(value)
        for outcome, value in re.findall(
            r'timbre_builds_total{result="(\w+)"} (\S+)', scrape(server)
        )
    }


def test_a_build_that_is_cancelled_as_it_is_published_has_one_outcome(
    new_server,
):
    server = new_server()
    server.build("ends", FRAMES)
    builds = 100
    for i in range(builds):
        call = server.retrieval.Build(build_requests("ends", FRAMES))
        for response in call:
            if response.progress.stage == pb.BuildProgress.STAGE_PUBLISHING:
                # Before, while and after it is published.
                threading.Event().wait(0.0002 * (i % 25))
                call.cancel()
                break
    wait_for(lambda: sum(counted_builds(server).values()) >= builds + 1)
    # What is published last ends last.
    server.build("ends", FRAMES)
    counted = counted_builds(server)
    assert sum(counted.values()) == builds + 2
    assert counted["ok"] == len(server.versions("ends"))

"""More voices than there is memory for."""

import random
import threading

import grpc
import numpy as np
import pytest
from budget_servers import (  # noqa: F401
    DIMENSION,
    QUERIES,
    Stream,
    info,
    is_open,
    metric,
    original,
    refusal,
    with_voices,
)
from conftest import array_of, details_of, ids_of, pb, speech, wait_for
from ops import rss
from voice_copies import copy_voice


def test_answers_are_those_of_a_server_without_a_budget(new_server):
    server = new_server()
    for i in range(50):
        server.build(f"v{i}", speech(300, DIMENSION, seed=i))
    expected = [ids_of(server.search(f"v{i}", QUERIES)) for i in range(50)]
    budget = 3.5 * info(server).resident_bytes / 50
    assert server.stop() == 0
    server.flags = (*server.flags, f"--max_resident_bytes={int(budget)}")
    server.start()
    refused, wrong, done = [0], [], [0]

    def use(seed):
        dice = random.Random(seed)
        while done[0] < 600:
            i = dice.randrange(50)
            try:
                found = server.search(f"v{i}", QUERIES)
            except grpc.RpcError as error:
                if details_of(error)["reason"] != "MEMORY_BUDGET":
                    wrong.append(error)
                    return
                refused[0] += 1
                continue
            if not np.array_equal(ids_of(found), expected[i]):
                wrong.append(i)
            done[0] += 1

    threads = [threading.Thread(target=use, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert info(server).resident_bytes <= budget
    assert wrong == []
    assert metric(server, 'timbre_closes_total{reason="budget"}') > 50
    assert info(server).open_versions <= 3


def test_what_streams_hold_is_refused_to_others_until_one_ends(with_voices):
    server = with_voices(4, 2.5)
    first, second = Stream(server, "v0"), Stream(server, "v1")
    details, text = refusal(server.search, "v2", QUERIES)
    assert details["reason"] == "MEMORY_BUDGET"
    assert details["retry"].total_seconds() > 0
    assert str(info(server).resident_bytes) in text
    assert 'voice "v2"' in text
    assert metric(server, "timbre_held_bytes") == info(server).resident_bytes
    log = server.directory / "log"
    wait_for(lambda: '"opening_refused"' in log.read_text())
    assert metric(server, 'timbre_opens_total{result="no_room"}') == 1
    first.close()
    assert len(ids_of(server.search("v2", QUERIES))) == len(QUERIES)
    assert not is_open(server, "v0")
    second.close()


def test_what_exceeds_the_budget_is_refused_for_good(with_voices):
    server = with_voices(3, 2.5)
    one = Stream(server, "v0")  # of which one is open or not
    for speakers in (("v0", "v1", "v2"), ("v1", "v2", "v0")):
        details, text = refusal(Stream, server, *speakers)
        assert details["reason"] == "VERSION_TOO_LARGE"
        assert "retry" not in details
        assert f'voice "{speakers[0]}" mixed with 2 more' in text
    one.close()
    assert metric(server, 'timbre_opens_total{result="too_large"}') == 2
    assert metric(server, 'timbre_opens_total{result="no_room"}') == 0
    assert server.stop() == 0
    server.flags = (*server.flags, "--max_resident_bytes=1000")
    server.start()
    details, text = refusal(server.search, "v0", QUERIES)
    assert details["reason"] == "VERSION_TOO_LARGE"
    assert "1000 bytes" in text


def test_two_mixes_that_do_not_fit_together_both_come_to_their_end(
    with_voices,
):
    server = with_voices(4, 3.5)
    done = [0, 0]

    def mix(which, *speakers):
        while done[which] < 40:
            try:
                Stream(server, *speakers).close()
            except grpc.RpcError as error:
                assert details_of(error)["reason"] == "MEMORY_BUDGET"
                continue
            done[which] += 1

    threads = [
        threading.Thread(target=mix, args=(0, "v0", "v1")),
        threading.Thread(target=mix, args=(1, "v2", "v3")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [40, 40]
    stream = Stream(server, "v0", "v1")
    opened = metric(server, 'timbre_opens_total{result="ok"}')
    were_open = [is_open(server, speaker) for speaker in ("v2", "v3")]
    details, _ = refusal(Stream, server, "v2", "v3")
    assert details["reason"] == "MEMORY_BUDGET"
    assert not all(were_open)
    assert [is_open(server, s) for s in ("v2", "v3")] == were_open
    assert metric(server, 'timbre_opens_total{result="ok"}') == opened
    stream.close()
    Stream(server, "v2", "v3").close()


@pytest.mark.parametrize("room", [20.5, 100.5])
def test_a_sweep_over_all_voices_leaves_the_hot_ones_open(with_voices, room):
    server = with_voices(210, room)
    hot = [f"v{i}" for i in range(10)]
    for speaker in 2 * hot:
        server.search(speaker, QUERIES)
    for sweep in range(3):
        for i in range(10, 210):
            server.search(f"v{i}", QUERIES)
            if i % 4 == 0:
                server.search(hot[i // 4 % 10], QUERIES)
        assert [s for s in hot if not is_open(server, s)] == []
    # Each was opened once.
    opened = metric(server, 'timbre_opens_total{result="ok"}')
    assert opened == 10 + 3 * 200


def test_voices_are_built_anew_and_deleted_while_they_open_and_close(
    new_server, original
):
    _, held, _ = original
    server = new_server(f"--max_resident_bytes={int(2.5 * held)}")
    for i in range(6):
        server.build(f"v{i}", speech(400, DIMENSION, seed=i))
    stop = threading.Event()
    wrong = []
    fine = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.RESOURCE_EXHAUSTED)

    def use(seed):
        dice = random.Random(seed)
        while not stop.is_set():
            try:
                server.search(f"v{dice.randrange(6)}", QUERIES)
            except grpc.RpcError as error:
                if error.code() not in fine:
                    wrong.append(error)

    threads = [threading.Thread(target=use, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for round in range(12):
        name = f"v{round % 6}"
        if round % 3 == 0:
            server.catalog.DeleteSpeaker(
                pb.DeleteSpeakerRequest(speaker=name)
            )
        server.build(name, speech(400, DIMENSION, seed=round))
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    for i in range(6):
        server.search(f"v{i}", QUERIES)


def test_what_must_not_fail_does_not_fail_for_the_budget(new_server):
    server = new_server("--max_resident_bytes=1000")
    frames = speech(400, DIMENSION, seed=3)
    version, _ = server.build("alice", frames)
    (warning,) = version.warnings
    assert warning.startswith("cannot be opened: ") and "1000 bytes" in warning
    server.build("alice", frames[:300], base_version=1)
    server.catalog.ActivateVersion(
        pb.ActivateVersionRequest(speaker="alice", version=1)
    )
    assert info(server).open_versions == 0
    read = server.catalog.ReadFrames(pb.ReadFramesRequest(speaker="alice"))
    assert np.array_equal(
        np.concatenate([array_of(r.frames) for r in read]), frames
    )
    npy = server.catalog.Export(
        pb.ExportRequest(speaker="alice", format=pb.EXPORT_FORMAT_NPY)
    )
    assert b"".join(r.chunk for r in npy).startswith(b"\x93NUMPY")
    assert metric(server, "timbre_versions_open") == 0


def test_a_thousand_voices_are_open_with_256_descriptors(with_voices):
    server = with_voices(1000, None, within=["prlimit", "--nofile=256:256"])
    for i in range(1000):
        server.search(f"v{i}", QUERIES)
    assert info(server).open_versions == 1000


def test_damage_that_came_while_a_voice_was_closed_costs_it_alone(
    with_voices, tmp_path
):
    server = with_voices(3, 1.5)
    for name in ("v0", "v1"):
        server.search(name, QUERIES)
    assert not is_open(server, "v0")
    # Not through the link that the others share.
    frames = tmp_path / "data" / "speakers" / "v0" / "1" / "total_fea.npy"
    contents = frames.read_bytes()
    frames.unlink()
    frames.write_bytes(contents[:-100])
    with pytest.raises(grpc.RpcError) as error:
        server.search("v0", QUERIES)
    assert error.value.code() == grpc.StatusCode.DATA_LOSS
    assert metric(server, "timbre_versions_damaged") == 1
    server.search("v2", QUERIES)
    frames.write_bytes(contents)
    server.search("v0", QUERIES)
    assert metric(server, "timbre_versions_damaged") == 0


def test_memory_goes_back(new_server, tmp_path):
    server = new_server()
    for frames in (100, 1000, 5000, 20_000):
        server.build(f"of{frames}", speech(frames, DIMENSION, seed=1))
    budget = info(server).resident_bytes
    assert server.stop() == 0
    for frames in (100, 1000, 5000, 20_000):
        for i in range(10):
            copy_voice(tmp_path / "data", f"of{frames}", f"v{frames}-{i}")
    server.flags = (
        *server.flags,
        f"--max_resident_bytes={2 * budget}",
        "--close_idle_after=2s",
    )
    pid = server.start().process.pid
    at_start = rss(pid)
    dice = random.Random(1)
    names = [f"v{n}-{i}" for n in (100, 1000, 5000, 20_000) for i in range(10)]

    def open_and_close(times):
        for _ in range(times):
            server.search(dice.choice(names), QUERIES)

    open_and_close(1000)
    before = rss(pid)
    open_and_close(9000)
    assert metric(server, 'timbre_closes_total{reason="budget"}') > 5000
    assert rss(pid) <= 1.05 * before
    wait_for(lambda: info(server).open_versions == 0)
    assert rss(pid) <= at_start + (32 << 20)


def test_what_nobody_uses_is_closed_after_a_while(with_voices):
    server = with_voices(3, None, "--close_idle_after=50ms")
    stream = Stream(server, "v0")
    server.search("v1", QUERIES)
    wait_for(lambda: not is_open(server, "v1"))
    assert is_open(server, "v0")
    assert metric(server, 'timbre_closes_total{reason="idle"}') == 1
    stream.close()
    wait_for(lambda: info(server).open_versions == 0)
    assert info(server).resident_bytes == 0

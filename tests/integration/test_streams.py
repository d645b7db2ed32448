"""Streams of Search and Blend: order, parameters, sizes, company."""

import concurrent.futures
import queue

import grpc
import numpy as np
import pytest

from conftest import (
    array_of,
    details_of,
    ids_of,
    pb,
    speech,
    to_frames,
    wait_for,
)
from ops import scrape


def test_params_hold_until_they_are_replaced_as_a_whole(server):
    frames = speech(2000)
    version, _ = server.build(
        "params", frames, index_factory="IVF16,PQ16x4fs,RFlat"
    )
    q = to_frames(frames[:3])
    requests = [
        pb.SearchRequest(speaker="params"),  # warms; no rows
        pb.SearchRequest(frames=q, params=pb.SearchParams(k=3, nprobe=2)),
        pb.SearchRequest(frames=q),
        pb.SearchRequest(speaker="params", version=1, frames=q,
                         params=pb.SearchParams(k_factor=2)),
        pb.SearchRequest(frames=pb.Frames()),
    ]
    warm, first, kept, replaced, empty = server.retrieval.Search(iter(requests))
    assert warm.neighbors.k == 8 and warm.neighbors.ids == b""
    assert warm.version == 1
    assert first.neighbors.k == 3 and first.effective.nprobe == 2
    assert kept.neighbors.k == 3 and not kept.HasField("effective")
    assert kept.neighbors.ids == first.neighbors.ids
    assert replaced.effective.k == 8
    assert replaced.effective.nprobe == version.defaults.nprobe
    assert replaced.effective.k_factor == 2
    assert empty.neighbors.ids == b""


def test_a_stream_keeps_the_version_that_it_began_with(server):
    frames = speech(100)
    server.build("pinned", frames, index_factory="Flat")
    requests = queue.Queue()
    stream = server.retrieval.Search(iter(requests.get, None))
    requests.put(pb.SearchRequest(speaker="pinned", frames=to_frames(frames)))
    before = next(stream)
    server.build("pinned", frames[::-1], index_factory="Flat")
    assert server.search("pinned", frames).version == 2
    server.catalog.DeleteVersion(
        pb.DeleteVersionRequest(speaker="pinned", version=1)
    )
    requests.put(pb.SearchRequest(frames=to_frames(frames)))
    after = next(stream)
    requests.put(None)
    assert before.version == after.version == 1
    assert before.neighbors == after.neighbors
    assert server.search("pinned", frames).version == 2


def test_64_streams_with_their_own_parameters_do_not_disturb_each_other(
    server,
):
    frames = speech(6000)
    server.build("many", frames, index_factory="IVF64,PQ16x4fs,RFlat")
    jobs = [
        (
            speech(5 + i % 7, seed=100 + i),
            pb.SearchParams(
                k=1 + i % 20, nprobe=1 + i % 64, k_factor=1 + i % 5
            ),
        )
        for i in range(64)
    ]

    def run(job):
        queries, params = job
        requests = [
            pb.SearchRequest(
                speaker="many", params=params, frames=to_frames(queries)
            )
        ] + [pb.SearchRequest(frames=to_frames(queries))] * 9
        responses = list(server.retrieval.Search(iter(requests)))
        assert len(responses) == 10
        assert len({r.neighbors.SerializeToString() for r in responses}) == 1
        return responses[0].neighbors.SerializeToString()

    alone = [run(job) for job in jobs]
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        together = list(pool.map(run, jobs * 4))
    assert together == alone * 4


def test_messages_up_to_the_limit_work_and_larger_ones_do_not(new_server):
    server = new_server("--max_message_bytes=1000000")
    server.build("big", speech(100, 256), index_factory="Flat")
    rows = 1_000_000 // 1024 - 1
    response = server.blend("big", speech(rows, 256))
    assert len(array_of(response.frames)) == rows
    calls = (
        lambda n: server.search("big", speech(n, 256)),
        lambda n: server.blend("big", speech(n, 256)),
        lambda n: server.build("big", speech(n, 256), chunk=n),
    )
    for call in calls:
        with pytest.raises(grpc.RpcError) as error:
            call(rows + 10)
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        details = details_of(error.value)
        assert details["reason"] == "MESSAGE_TOO_LARGE"
        assert details["fields"] == ["request"]
        assert "retry" not in details
        assert "at most 1000000 bytes" in error.value.details()
        with pytest.raises(grpc.RpcError) as error:
            call(5 * rows)
        assert details_of(error.value)["reason"] == "MESSAGE_TOO_LARGE"
    for rpc in ("Search", "Blend", "Build"):
        counted = f'rpc="{rpc}",status="RESOURCE_EXHAUSTED"}} 2'
        wait_for(lambda c=counted: c in scrape(server))
    assert server.versions("big") == [1]


def test_a_64_mib_message(server):
    rows = (64 << 20) // (1024 * 4) - 1
    frames = np.tile(speech(1000, 1024), (rows // 1000 + 1, 1))[:rows]
    version, _ = server.build(
        "large", frames, chunk=rows, index_factory="Flat"
    )
    assert version.frames == rows


def test_the_first_error_comes_after_the_answers_before_it(server):
    frames = speech(100)
    server.build("order", frames, index_factory="Flat")
    requests = [
        pb.SearchRequest(speaker="order", frames=to_frames(frames[:2])),
        pb.SearchRequest(frames=to_frames(frames[2:4])),
        pb.SearchRequest(speaker="someone-else"),
        pb.SearchRequest(frames=to_frames(frames[:2])),
    ]
    stream = server.retrieval.Search(iter(requests))
    assert len(next(stream).neighbors.ids) == 2 * 8 * 8
    next(stream)
    with pytest.raises(grpc.RpcError) as error:
        next(stream)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert details_of(error.value)["fields"] == ["speaker"]


def test_initial_metadata_comes_before_the_first_request(server):
    requests = queue.Queue()
    stream = server.retrieval.Search(iter(requests.get, None))
    stream.initial_metadata()  # blocks until it is there
    requests.put(None)
    assert list(stream) == []


def test_64_blends_side_by_side_are_what_each_is_alone(server):
    server.build("mixed", speech(6000), index_factory="IVF64,PQ16x4fs,RFlat")
    jobs = [
        (
            speech(5 + i % 7, seed=200 + i),
            pb.BlendParams(
                search=pb.SearchParams(k=1 + i % 20, nprobe=1 + i % 64),
                index_rate=(i % 11) / 10,
                weighting=1 + i % 3,
            ),
        )
        for i in range(64)
    ]

    def run(job):
        queries, params = job
        first = pb.BlendRequest(
            speaker="mixed", params=params, frames=to_frames(queries)
        )
        later = pb.BlendRequest(frames=to_frames(queries))
        responses = list(server.retrieval.Blend(iter([first] + [later] * 9)))
        assert len(responses) == 10
        assert len({r.frames.data for r in responses}) == 1
        return responses[0].frames.data

    alone = [run(job) for job in jobs]
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        together = list(pool.map(run, jobs * 2))
    assert together == alone * 2


def test_cancelled_blends_leave_the_server_well(new_server):
    server = new_server()
    frames = speech(2000)
    server.build("busy", frames, index_factory="IVF16,PQ16x4fs,RFlat")
    alone = server.blend("busy", frames[:50]).frames
    request = pb.BlendRequest(speaker="busy", frames=to_frames(frames))
    for i in range(100):
        call = server.retrieval.Blend(iter([request] * 3))
        if i % 3 == 0:
            next(call)
        call.cancel()
    idle = 'timbre_streams_in_flight{rpc="Blend"} 0'
    wait_for(lambda: idle in scrape(server))
    assert server.blend("busy", frames[:50]).frames == alone

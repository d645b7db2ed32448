"""latency_budget: what gives way, what never does, and that it is said."""

import grpc
import numpy as np
import pytest

from conftest import array_of, details_of, ids_of, pb, speech

FRAMES = speech(4_000, 64, seed=1)
QUERIES = speech(50, 64, seed=2)


@pytest.fixture(scope="module", autouse=True)
def voice(server):
    server.build(
        "budget", FRAMES, index_factory="IVF64,PQ32x4fs,RFlat"
    )


def params(milliseconds=None, **fields):
    made = pb.SearchParams(**fields)
    if milliseconds is not None:
        made.latency_budget.FromMicroseconds(int(milliseconds * 1000))
    return made


def test_a_search_that_is_out_of_time_visits_one_list(server):
    late = server.search("budget", QUERIES, params(0.001, nprobe=32))
    assert late.degradation == pb.DEGRADATION_REDUCED
    assert late.effective.nprobe == 1
    assert late.effective.k_factor == 1
    least = server.search("budget", QUERIES, params(nprobe=1, k_factor=1))
    assert least.degradation == pb.DEGRADATION_UNSPECIFIED
    np.testing.assert_array_equal(ids_of(late), ids_of(least))


def test_a_blend_that_is_out_of_time_passes_the_frames_through(server):
    asked = pb.BlendParams(search=params(0.001, nprobe=32))
    late = server.blend("budget", QUERIES, asked)
    assert late.degradation == pb.DEGRADATION_PASSED_THROUGH
    np.testing.assert_array_equal(array_of(late.frames), QUERIES)


def test_with_time_enough_the_answer_is_the_one_without_a_budget(server):
    asked = pb.BlendParams(search=params(60_000, nprobe=32))
    relaxed = server.blend("budget", QUERIES, asked)
    assert relaxed.degradation == pb.DEGRADATION_UNSPECIFIED
    assert relaxed.effective.search.nprobe == 32
    plain = server.blend(
        "budget", QUERIES, pb.BlendParams(search=params(nprobe=32))
    )
    assert plain.degradation == pb.DEGRADATION_UNSPECIFIED
    assert relaxed.frames.data == plain.frames.data


def test_a_budget_holds_for_its_stream_until_params_replace_it(server):
    def requests():
        yield pb.BlendRequest(
            speaker="budget",
            params=pb.BlendParams(search=params(0.001)),
            frames=frames,
        )
        yield pb.BlendRequest(frames=frames)
        yield pb.BlendRequest(params=pb.BlendParams(), frames=frames)

    frames = pb.Frames(data=QUERIES.tobytes(), dimension=64)
    answers = list(server.retrieval.Blend(requests()))
    assert [a.degradation for a in answers] == [
        pb.DEGRADATION_PASSED_THROUGH,
        pb.DEGRADATION_PASSED_THROUGH,
        pb.DEGRADATION_UNSPECIFIED,
    ]
    # What was used is said whenever it changes.
    assert [a.HasField("effective") for a in answers] == [True, False, True]


@pytest.mark.parametrize("seconds, nanos", [(0, 0), (-1, 0), (0, -5)])
def test_a_budget_that_is_not_above_zero_is_refused(server, seconds, nanos):
    bad = pb.SearchParams()
    bad.latency_budget.seconds = seconds
    bad.latency_budget.nanos = nanos
    with pytest.raises(grpc.RpcError) as error:
        server.search("budget", QUERIES, bad)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert details_of(error.value)["fields"] == ["params.latency_budget"]

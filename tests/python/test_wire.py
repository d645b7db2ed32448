"""Frames in serialized messages, against protobuf itself."""

import numpy as np
import pytest
from timbre import _contract
from timbre._wire import ELEMENT_TYPES, read, unwrap, wrap

SHAPES = [(0, 256), (1, 1), (1, 31), (16, 256), (43, 768), (3000, 256)]
DTYPES = list(ELEMENT_TYPES)


def frames_of(shape, dtype):
    return np.random.default_rng(3).random(shape, "f4").astype(dtype)


def filled(message, rows):
    message.frames.data = rows.tobytes()
    message.frames.dimension = rows.shape[1]
    message.frames.element_type = ELEMENT_TYPES[rows.dtype]
    return message


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "kind",
    [
        _contract.BlendRequest,
        _contract.SearchRequest,
        _contract.BuildRequest,
        _contract.TuneRequest,
    ],
)
def test_wrapped_frames_are_what_protobuf_writes(kind, shape, dtype):
    rows = frames_of(shape, dtype)
    assert kind.FromString(wrap(b"", kind, rows)) == filled(kind(), rows)


def test_the_other_fields_of_a_message_stay():
    rows = frames_of((16, 256), "<f4")
    request = _contract.BlendRequest(speaker="alice", version=7)
    request.params.search.nprobe = 8
    head = request.SerializeToString()
    read_back = _contract.BlendRequest.FromString(
        wrap(head, _contract.BlendRequest, rows)
    )
    assert read_back == filled(request, rows)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES[1:])
def test_an_answer_is_taken_apart(shape, dtype):
    rows = frames_of(shape, dtype)
    answer = _contract.BlendResponse(version=7, mean_shift=0.5, versions=[3])
    answer.effective.index_rate = 0.25
    serialized = filled(answer, rows).SerializeToString()
    answer.ClearField("frames")
    found, rest = unwrap(serialized, _contract.BlendResponse, rows)
    assert found.dtype == rows.dtype
    assert np.array_equal(found, rows)
    assert rest == answer


@pytest.mark.parametrize(
    "like",
    [frames_of((16, 256), "<f2"), frames_of((4, 256), "<f4")],
    ids=["precision", "rows"],
)
def test_an_answer_of_another_form_is_read_too(like):
    rows = frames_of((16, 256), "<f4")
    answer = filled(_contract.BlendResponse(version=7), rows)
    found, rest = unwrap(
        answer.SerializeToString(), _contract.BlendResponse, like
    )
    assert np.array_equal(found, rows)
    assert rest == _contract.BlendResponse(version=7)


def test_an_answer_in_another_order_is_read_too():
    rows = frames_of((16, 256), "<f4")
    kind = _contract.BlendResponse
    swapped = wrap(kind(version=7).SerializeToString(), kind, rows)
    found, rest = unwrap(swapped, kind, rows)
    assert np.array_equal(found, rows)
    assert rest == _contract.BlendResponse(version=7)


def test_frames_without_an_element_type_are_single_precision():
    message = _contract.Frames(data=b"\0\0\x80\x3f" * 6, dimension=3)
    assert np.array_equal(read(message), np.ones((2, 3), "f4"))

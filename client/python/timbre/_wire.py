"""Frames in messages.

protobuf copies the bytes of a field twice on each way: into the message and
out of it. For blocks of a live stream that was a twelfth of the call. So
`wrap` and `unwrap` put frames where protobuf would, and take them from there;
all other fields they leave to protobuf, since serialized messages may be
written one behind the other: the parser merges them
(https://protobuf.dev/programming-guides/encoding/#last-one-wins).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from timbre import _contract

# What frames can be sent as.
ELEMENT_TYPES = {
    np.dtype("<f4"): _contract.ELEMENT_TYPES["float32"],
    np.dtype("<f2"): _contract.ELEMENT_TYPES["float16"],
}
_DTYPES: dict[int, Any] = {
    number: dtype for dtype, number in ELEMENT_TYPES.items()
}
_DTYPES[_contract.ELEMENT_TYPES["unspecified"]] = np.dtype("<f4")
_DATA = _contract.Frames.DESCRIPTOR.fields_by_name["data"].number


def wrap(head: bytes, kind: Any, rows: np.ndarray) -> bytes:
    """A serialized message with the field `frames`.

    Args:
      head: its other fields, serialized.
      kind: the message's class.
      rows: [n, dimension] in C order, of one of ELEMENT_TYPES.
    """
    before, behind = _around(kind, *rows.shape, rows.dtype)
    return b"".join((head, before, rows.data, behind))


def unwrap(
    message: bytes, kind: Any, like: np.ndarray
) -> tuple[np.ndarray, Any]:
    """What `wrap` takes, of an answer: its frames, read-only, and a message of
    its other fields.

    Args:
      message: serialized.
      kind: its class.
      like: frames as the message is expected to hold; others are read too,
        but slower.
    """
    before, behind = _around(kind, *like.shape, like.dtype)
    end = len(before) + like.nbytes
    if message.startswith(before) and message.startswith(behind, end):
        rows = np.frombuffer(message, like.dtype, like.size, len(before))
        rest = message[end + len(behind) :]
        return rows.reshape(like.shape), kind.FromString(rest)
    parsed = kind.FromString(message)
    return read(parsed.frames), without(parsed, "frames")


def without(message: Any, field: str) -> Any:
    """What is left of a message that has served. A new one: protobuf may free
    a field no sooner than its message."""
    message.ClearField(field)
    return type(message).FromString(message.SerializeToString())


def read(message: Any) -> np.ndarray:
    """The rows of a Frames message, [n, dimension]; read-only."""
    rows: np.ndarray = np.frombuffer(
        message.data, _DTYPES[message.element_type]
    ).reshape(-1, max(1, message.dimension))
    return rows


@functools.lru_cache(maxsize=256)
def _around(
    kind: Any, rows: int, dimension: int, dtype: Any
) -> tuple[bytes, bytes]:
    """What stands before and behind the elements of such frames."""
    size = rows * dimension * dtype.itemsize
    behind = _contract.Frames(
        dimension=dimension, element_type=ELEMENT_TYPES[dtype]
    ).SerializeToString()
    before = _opening(_DATA, size)
    number = kind.DESCRIPTOR.fields_by_name["frames"].number
    return _opening(number, len(before) + size + len(behind)) + before, behind


def _opening(number: int, size: int) -> bytes:
    """Of a field of `size` bytes: its tag and its length."""
    return _varint(number << 3 | 2) + _varint(size)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)

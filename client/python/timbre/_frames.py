"""Arrays on their way to the wire and back.

What a caller passes may be a numpy array or a torch tensor, of any leading
shape, contiguous or not; what it gets back is of the same kind. torch is never
imported: a tensor proves that it is there.
"""

from __future__ import annotations

import sys
from typing import Any, Callable, Optional

import numpy as np

from timbre import _contract
from timbre.errors import BadFrame, InvalidArgument

# Larger magnitudes are refused by the server: their squares overflow.
MAX_MAGNITUDE = 1e15
# Large inputs are cut into messages of this size.
MESSAGE_BYTES = 1 << 20
_WIRE = {
    np.dtype("<f4"): _contract.ELEMENT_TYPES["float32"],
    np.dtype("<f2"): _contract.ELEMENT_TYPES["float16"],
}
_DTYPES: dict[int, Any] = {
    _contract.ELEMENT_TYPES["unspecified"]: np.dtype("<f4"),
    _contract.ELEMENT_TYPES["float32"]: np.dtype("<f4"),
    _contract.ELEMENT_TYPES["float16"]: np.dtype("<f2"),
}


class Batch:
    """Frames as a caller passed them.

    Attributes:
      rows: [n, dimension], float32 or float16, C order: what is sent.
      bad: the numbers of rows that must not be sent, None if there are none.
    """

    __slots__ = ("rows", "bad", "_restore", "_shape")

    def __init__(self, x: Any, dimension: int, name: str = "x") -> None:
        array, self._restore = _to_numpy(x, name)
        if array.ndim == 0 or array.shape[-1] != dimension:
            raise InvalidArgument(
                f"{name} has shape {tuple(array.shape)}: the last axis must be"
                f" {dimension}, the voice's dimension",
                field=name,
                reason="WRONG_DIMENSION",
            )
        self._shape = array.shape
        wire = np.float16 if array.dtype == np.float16 else np.float32
        rows = array.reshape(-1, dimension)
        if rows.dtype != wire:
            with np.errstate(over="ignore"):  # found below
                rows = rows.astype(wire, order="C")
        self.rows = np.ascontiguousarray(rows)
        self.bad = _bad_rows(self.rows)

    def require_good(self) -> None:
        """Raises BadFrame if there are bad rows."""
        if self.bad is None:
            return
        some = ", ".join(str(row) for row in self.bad[:5])
        more = "" if len(self.bad) <= 5 else f" and {len(self.bad) - 5} more"
        raise BadFrame(
            f"frames {some}{more} hold NaN, infinity or magnitudes above"
            " 1e15; nothing was sent",
            [int(row) for row in self.bad],
        )

    def restore(self, rows: np.ndarray) -> Any:
        """`rows`, [n, dimension], in the shape and kind of what was passed."""
        return self._restore(rows.reshape(self._shape))


def _to_numpy(x: Any, name: str) -> tuple[np.ndarray, Callable[..., Any]]:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        if not x.is_floating_point():
            raise _not_floating(name, x.dtype)
        narrow = x.detach()
        # numpy has no bfloat16.
        if x.dtype not in (torch.float16, torch.float32, torch.float64):
            narrow = narrow.float()
        return narrow.cpu().numpy(), lambda out: torch.from_numpy(out).to(
            device=x.device, dtype=x.dtype
        )
    array = np.asarray(x)
    if array.dtype.kind != "f":
        raise _not_floating(name, array.dtype)
    dtype = array.dtype
    return array, lambda out: out.astype(dtype, copy=False)


def _not_floating(name: str, dtype: Any) -> InvalidArgument:
    return InvalidArgument(
        f"{name} holds {dtype}: frames are floating-point numbers", field=name
    )


def _bad_rows(rows: np.ndarray) -> Optional[np.ndarray]:
    """The numbers of the rows that the server would refuse, None if none."""
    if rows.size == 0:
        return None
    if rows.dtype == np.float16:
        # Half precision is emulated: looking at the bits is much faster.
        good = (rows.view(np.uint16) & 0x7C00) != 0x7C00
    else:
        # NaN is the largest and the least of all, and compares as false.
        flat = rows.reshape(-1)
        if (
            np.maximum.reduce(flat) <= MAX_MAGNITUDE
            and np.minimum.reduce(flat) >= -MAX_MAGNITUDE
        ):
            return None
        good = np.abs(rows) <= MAX_MAGNITUDE
    if good.all():
        return None
    return np.flatnonzero(~good.all(axis=1))


def fill(message: Any, rows: np.ndarray) -> None:
    """Writes rows, [n, dimension], into a Frames message."""
    message.data = rows.tobytes()
    message.dimension = rows.shape[1]
    message.element_type = _WIRE[rows.dtype]


def read(message: Any) -> np.ndarray:
    """The rows of a Frames message, [n, dimension]; read-only."""
    rows: np.ndarray = np.frombuffer(
        message.data, _DTYPES[message.element_type]
    ).reshape(-1, max(1, message.dimension))
    return rows

"""Arrays on their way to the wire and back.

What a caller passes may be a numpy array or a torch tensor, of any leading
shape, contiguous or not; what it gets back is of the same kind. torch is never
imported: a tensor proves that it is there.
"""

from __future__ import annotations

import sys
from typing import Any, Callable, Optional

import numpy as np

from timbre._wire import ELEMENT_TYPES
from timbre.errors import BadFrame, InvalidArgument

# Larger magnitudes are refused by the server: their squares overflow.
MAX_MAGNITUDE = 1e15
# Large inputs are cut into messages of this size.
MESSAGE_BYTES = 1 << 20
# Numbers looked at in one go: numpy's OpenBLAS wakes threads for 10,000.
_LOOK = 8192


class Batch:
    """Frames as a caller passed them.

    Attributes:
      rows: [n, dimension], float32 or float16, C order: what is sent.
      bad: the numbers of rows that must not be sent, None if there are none.
    """

    __slots__ = ("rows", "bad", "_restore", "_shape")

    def __init__(self, x: Any, dimension: int, name: str = "x") -> None:
        array, self._restore = _to_numpy(x, name)
        self._shape = shape = array.shape
        if not shape or shape[-1] != dimension:
            raise InvalidArgument(
                f"{name} has shape {tuple(shape)}: the last axis must be"
                f" {dimension}, the voice's dimension",
                field=name,
                reason="WRONG_DIMENSION",
            )
        rows = array if len(shape) == 2 else array.reshape(-1, dimension)
        if rows.dtype not in ELEMENT_TYPES:
            with np.errstate(over="ignore"):  # found below
                rows = rows.astype("<f4")
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
        if rows.shape != self._shape:
            rows = rows.reshape(self._shape)
        return rows if self._restore is None else self._restore(rows)


def _to_numpy(
    x: Any, name: str
) -> tuple[np.ndarray, Optional[Callable[..., Any]]]:
    """`x`, and what makes an answer be of its kind; None: it is already."""
    if type(x) is np.ndarray and x.dtype in ELEMENT_TYPES:
        return x, None
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
    if rows.itemsize == 2:
        # Half precision is emulated: looking at the bits is much faster.
        good = (rows.view("<u2") & 0x7C00) != 0x7C00
    elif _surely_good(rows.reshape(-1)):
        return None
    else:
        good = np.abs(rows) <= MAX_MAGNITUDE
    if good.all():
        return None
    return np.flatnonzero(~good.all(axis=1))


def _surely_good(numbers: np.ndarray) -> bool:
    """By sums of squares, the cheapest of all looks: none of the numbers is
    larger than the root of the sum. NaN compares as false; and vdot, unlike
    dot, does not warn where the sum overflows."""
    for first in range(0, numbers.size, _LOOK):
        some = numbers[first : first + _LOOK]
        if not np.vdot(some, some) <= MAX_MAGNITUDE**2:
            return False
    return True

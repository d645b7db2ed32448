""".npy files, mapped. Not by numpy.load, which believes what a header says,
and fails with whatever follows. The same words as in client/files/npy_format.cc.
"""

from __future__ import annotations

import ast
import os
import re
from typing import Any

import numpy as np

from timbre.errors import InvalidArgument

_MAGIC = b"\x93NUMPY"
_MAX_DIMENSION = 65536
# numpy itself refuses longer ones (max_header_size is 10,000).
_MAX_HEADER = 60_000
_FIELDS = {"descr", "fortran_order", "shape"}
_TYPE = re.compile(r"[<>=|]?f[248]")


def open_frames(path: Any) -> np.ndarray:
    """The frames, [n, dimension], read-only; of any byte order and array
    order that numpy writes.

    Raises:
      InvalidArgument: no such file of float16, float32 or float64.
      OSError: it cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            descr, fortran_order, shape, offset = _header(file)
            dtype = _dtype(descr)
            size = os.fstat(file.fileno()).st_size - offset
            _check_shape(shape, size, dtype.itemsize)
        except _Bad as why:
            raise InvalidArgument(
                f"{path}: {why}", field="frames", reason="BAD_NPY_FILE"
            ) from None
        if shape[0] == 0:  # nothing to map
            return np.empty(shape, dtype)
        order: Any = "F" if fortran_order else "C"
        return np.memmap(file, dtype, "r", offset, shape, order)


class _Bad(Exception):
    pass


def _header(file: Any) -> tuple[Any, bool, Any, int]:
    """Type, whether in Fortran order, shape, and where the numbers begin."""
    start = file.read(8)
    if len(start) < 8 or not start.startswith(_MAGIC):
        raise _Bad("is no .npy file")
    major, minor = start[6:]
    if major not in (1, 2, 3) or minor != 0:
        raise _Bad(
            f"is a .npy file of version {major}.{minor}; expected 1.0 to 3.0"
        )
    digits = file.read(2 if major == 1 else 4)
    length = int.from_bytes(digits, "little")
    text = file.read(min(length, _MAX_HEADER + 1))
    if length > _MAX_HEADER or len(text) < length:
        raise _Bad("ends in its header")
    try:
        # Python 2 wrote 3L.
        plain = re.sub(r"(\d)L\b", r"\1", text.decode("latin-1"))
        fields = ast.literal_eval(plain.strip())
        whole = set(fields) == _FIELDS
        order = fields["fortran_order"]
    except Exception:  # literal_eval documents no end of them
        whole = False
    if not whole or type(order) is not bool:
        raise _Bad("has a header that is none of numpy's")
    return fields["descr"], order, fields["shape"], file.tell()


def _dtype(descr: Any) -> np.dtype:
    if not isinstance(descr, str) or not _TYPE.fullmatch(descr):
        shown = "".join(c if c.isprintable() else "?" for c in str(descr)[:80])
        raise _Bad(f"holds '{shown}'; expected float16, float32 or float64")
    return np.dtype(descr)


def _check_shape(shape: Any, size: int, itemsize: int) -> None:
    text = str(shape)[:80]
    if not isinstance(shape, tuple) or len(shape) != 2:
        raise _Bad(f"has shape {text}; expected [frames, dimension]")
    if any(type(n) is not int or not 0 <= n < 1 << 64 for n in shape):
        raise _Bad(f"has shape {text}, which no array has")
    rows, dimension = shape
    if not 1 <= dimension <= _MAX_DIMENSION:
        raise _Bad(
            f"has dimension {dimension}; expected 1 to {_MAX_DIMENSION}"
        )
    held = size // (dimension * itemsize)
    if rows > held:
        raise _Bad(f"has shape {text}, but ends in row {held}")

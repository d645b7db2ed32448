"""Stored frames, read back."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from timbre import _contract
from timbre._calls import stream
from timbre._parameters import assign, check_choice
from timbre._streams import Connection
from timbre._wire import read

# Rows of one request by ids.
_MAX_IDS = 100_000


def read_frames(
    connection: Connection,
    speaker: str,
    version: int,
    dimension: int,
    first_id: int,
    count: int,
    ids: Optional[Any],
    dtype: np.dtype,
) -> np.ndarray:
    """See Voice.frames."""
    check_choice("dtype", dtype.name, ("float32", "float16"))
    wanted: list[Any] = [None]
    if ids is not None:
        ids = np.asarray(ids, np.uint64).ravel()
        wanted = [
            ids[first : first + _MAX_IDS]
            for first in range(0, len(ids), _MAX_IDS)
        ]
    parts = [np.empty((0, dimension), dtype)]
    for some in wanted:
        request = _contract.ReadFramesRequest(
            speaker=speaker,
            version=version,
            element_type=_contract.ELEMENT_TYPES[dtype.name],
        )
        assign(request, "first_id", first_id)
        assign(request, "count", count)
        if some is not None:
            request.ids.extend(some.tolist())
        for answer in stream(
            connection,
            "ReadFrames",
            request,
            _contract.ReadFramesResponse,
            speaker,
        ):
            parts.append(read(answer.frames))
    return np.concatenate(parts)

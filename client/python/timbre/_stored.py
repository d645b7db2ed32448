"""What a server stores, read back."""

from __future__ import annotations

import os
import pathlib
import uuid
from typing import Any, Callable, Optional

import numpy as np

from timbre import _contract, _threads
from timbre._calls import stream
from timbre._connection import Connection
from timbre._parameters import assign, check_choice
from timbre._threads import Scope
from timbre._wire import read
from timbre.results import Verified

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
    requests = []
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
        requests.append(request)

    def work(scope: Scope, _: Any) -> np.ndarray:
        parts = [np.empty((0, dimension), dtype)]
        for request in requests:
            for answer in stream(
                connection,
                scope,
                "ReadFrames",
                request,
                _contract.ReadFramesResponse,
                speaker,
            ):
                parts.append(read(answer.frames))
        return np.concatenate(parts)

    return _threads.aside(work)


def save_export(
    connection: Connection, request: Any, target: pathlib.Path
) -> None:
    """See Client.export."""

    def work(scope: Scope, _: Any) -> None:
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
        try:
            with open(partial, "wb") as out:
                for answer in stream(
                    connection,
                    scope,
                    "Export",
                    request,
                    _contract.ExportResponse,
                    request.speaker,
                ):
                    out.write(answer.chunk)
            scope.check()
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)

    _threads.aside(work, settle=True)


def verify(
    connection: Connection, speaker: Optional[str]
) -> _threads.Work[None]:
    """Work that says each Verified, see Client.verify."""
    request = _contract.VerifyRequest()
    assign(request, "speaker", speaker or "")

    def work(scope: Scope, say: Callable[[Any], None]) -> None:
        for answer in stream(
            connection,
            scope,
            "Verify",
            request,
            _contract.VerifyResponse,
            request.speaker,
        ):
            if answer.speaker:  # else only a sign of life
                say(Verified._of(answer))

    return work

"""What Search and Blend of one voice, or of several mixed, do alike."""

from __future__ import annotations

import functools
from typing import Any, Callable, Optional, Union

import numpy as np

from timbre import _contract, _frames
from timbre._connection import Connection
from timbre._frames import Batch
from timbre._parameters import (
    assign,
    blend_params,
    check_choice,
    search_params,
)
from timbre._patience import Patience
from timbre._streams import Stream, Streams
from timbre._wire import unwrap, without, wrap
from timbre.errors import InvalidArgument, Late
from timbre.results import BlendInfo, SearchInfo

# rows * k of a Search message.
_MAX_RESULTS = 1 << 20

# Names the voice, or the voices, in the first message of a stream.
Identify = Callable[[Any], None]
# Voices to mix: speaker, version and weight of each.
Voices = tuple[tuple[str, int, float], ...]


class Retrieval:
    """The calls on one voice, or on several mixed. Thread-safe."""

    def __init__(
        self,
        connection: Connection,
        speaker: str,
        dimension: int,
        identify: Identify,
        worst: float,
    ) -> None:
        """`worst`: the distance at id -1."""
        self._connection = connection
        self._dimension = dimension
        self._identify = identify
        self._worst = worst
        self._search = Streams(connection, _contract.SEARCH, speaker)
        self._blend = Streams(connection, _contract.BLEND, speaker)

    def close(self) -> None:
        """Ends the open streams."""
        self._search.close()
        self._blend.close()

    def warm(self, voices: Voices = ()) -> None:
        """Has the server load the voice: a message without frames."""

        def encode(_: int, stream: Stream) -> bytes:
            return self._head(_contract.BlendRequest, stream, None, voices)

        def take(_: int, answer: bytes, stream: Stream) -> None:
            stream.hear(_contract.BlendResponse.FromString(answer))

        self._blend.ask(1, encode, take, self._connection.patience())

    def search(
        self, x: Any, search: tuple[Any, ...], on_bad_frame: str
    ) -> tuple[np.ndarray, np.ndarray, Callable[[], SearchInfo]]:
        """See Voice.search. `search`: the arguments of search_params.

        The info is made when asked for, here and in `blend`: at a live
        stream's pace nothing of this is in the processor's caches, and each
        step takes twenty times as long as in a loop.
        """
        params = search_params(*search)
        if params.k > 1024:  # before room is made for the answer
            raise InvalidArgument(
                f"k {params.k}: must be 1..1024",
                field="k",
                reason="INVALID_FIELD",
            )
        good, batch = self._good_rows(x, on_bad_frame)
        rows = batch.rows if good is None else batch.rows[good]
        k = params.k or 8
        distances = np.full((len(batch.rows), k), self._worst, np.float32)
        ids = np.full((len(batch.rows), k), -1, np.int64)
        info = _Info(params)
        most = max(1, _MAX_RESULTS // k)
        pieces = _pieces(rows, most)

        def encode(i: int, stream: Stream) -> bytes:
            head = self._head(_contract.SearchRequest, stream, params)
            return wrap(head, _contract.SearchRequest, rows[pieces[i]])

        def take(i: int, answer: bytes, stream: Stream) -> None:
            response = _contract.SearchResponse.FromString(answer)
            found = response.neighbors
            found_ids = np.frombuffer(found.ids, "<i8").reshape(-1, k)
            where = pieces[i] if good is None else good[pieces[i]]
            ids[where] = found_ids
            distances[where] = np.frombuffer(
                found.distances, "<f4"
            ).reshape(-1, k)
            rest = without(response, "neighbors")
            info.take(rest, len(found_ids), stream)

        self._ask(self._search, pieces, encode, take, search[-1])
        return distances, ids, info.search

    def blend(
        self,
        x: Any,
        rate: Union[float, np.ndarray],
        search: tuple[Any, ...],
        weighting: str,
        alpha: float,
        on_late: str,
        on_bad_frame: str,
        voices: Voices = (),
    ) -> tuple[Any, Callable[[], BlendInfo]]:
        """See Voice.blend and Mix.blend."""
        check_choice("on_late", on_late, ("source", "raise"))
        good, batch = self._good_rows(x, on_bad_frame)
        rates = _rates(rate, len(batch.rows))
        params = blend_params(
            search,
            float(rate) if rates is None else 1.0,
            weighting,
            alpha,
        )
        if rate == 0 if rates is None else not rates.any():
            return batch.restore(batch.rows.copy()), BlendInfo
        rows = batch.rows if good is None else batch.rows[good]
        if rates is not None and good is not None:
            rates = rates[good]
        info = _Info(params)
        pieces = _pieces(rows)
        parts = [rows[piece] for piece in pieces]
        whole = good is None and len(pieces) == 1
        # The caller's own array until `take` has another one for it.
        out = batch.rows if whole else batch.rows.copy()

        def encode(i: int, stream: Stream) -> bytes:
            head = self._head(_contract.BlendRequest, stream, params, voices)
            if rates is not None:
                head += _contract.BlendRequest(
                    frame_index_rates=rates[pieces[i]].tobytes()
                ).SerializeToString()
            return wrap(head, _contract.BlendRequest, parts[i])

        def take(i: int, answer: bytes, stream: Stream) -> None:
            nonlocal out
            part = parts[i]
            blended, response = unwrap(answer, _contract.BlendResponse, part)
            if whole:
                out = blended.astype(part.dtype)
            else:
                out[pieces[i] if good is None else good[pieces[i]]] = blended
            info.take(response, len(part), stream)

        try:
            self._ask(self._blend, pieces, encode, take, search[-1])
        except Late:
            if on_late == "raise":
                raise
            late = functools.partial(BlendInfo, late=True)
            return batch.restore(batch.rows.copy()), late
        if on_late == "raise" and info.degradation == "passed_through":
            raise Late(
                "the server could not search within its share of"
                f" {1e3 * search[-1]:g} ms",
                reason="PASSED_THROUGH",
            )
        return batch.restore(out), info.blend

    def _ask(
        self,
        streams: Streams,
        pieces: list[slice],
        encode: Any,
        take: Any,
        budget_s: Optional[float],
    ) -> None:
        if not pieces:
            self._connection.check()
            return
        connection = self._connection
        patience = Patience(connection.timeout_s, budget_s, connection)
        streams.ask(len(pieces), encode, take, patience)

    def _good_rows(
        self, x: Any, on_bad_frame: str
    ) -> tuple[Optional[np.ndarray], Batch]:
        """The numbers of the rows to send, None: all."""
        check_choice("on_bad_frame", on_bad_frame, ("raise", "source"))
        batch = Batch(x, self._dimension)
        if batch.bad is None:
            return None, batch
        if on_bad_frame == "raise":
            batch.require_good()
        return np.delete(np.arange(len(batch.rows)), batch.bad), batch

    def _head(
        self, kind: Any, stream: Stream, params: Any, voices: Voices = ()
    ) -> bytes:
        """Serialized, all but the frames: says who and how, where this stream
        does not know it yet."""
        said = stream.said
        if said.params is params and said.voices == voices and said.voice:
            return b""
        request = kind()
        if not said.voice:
            said.voice = True
            self._identify(request)
        if params is not None and said.params is not params:
            said.params = params
            request.params.CopyFrom(params)
        if said.voices != voices:  # others, or with other weights
            said.voices = voices
            for speaker, version, weight in voices:
                voice = request.voices.add(speaker=speaker, version=version)
                assign(voice, "weight", weight)
        serialized: bytes = request.SerializeToString()
        return serialized


class _Info:
    """What the answers of one call say of themselves, read when asked for."""

    def __init__(self, asked: Any) -> None:
        self._effective = asked
        self._answers: list[tuple[Any, int]] = []

    def take(self, response: Any, rows: int, stream: Stream) -> None:
        """An answer on `rows` frames, without these and what was found: it is
        kept to the end of the call."""
        stream.hear(response)
        if stream.effective is not None:
            self._effective = stream.effective
        self._answers.append((response, rows))

    @property
    def degradation(self) -> str:
        worst = max((each.degradation for each, _ in self._answers), default=0)
        return ("", "reduced", "passed_through")[worst]

    def search(self) -> SearchInfo:
        return SearchInfo(**self._common())

    def blend(self) -> BlendInfo:
        rows = max(1, sum(rows for _, rows in self._answers))

        def mean(name: str) -> float:
            total: float = sum(getattr(a, name) * n for a, n in self._answers)
            return total / rows

        last = self._answers[-1][0] if self._answers else None
        return BlendInfo(
            **self._common(),
            mean_distance=mean("mean_distance"),
            mean_shift=mean("mean_shift"),
            versions=tuple(last.versions) if last else (),
        )

    def _common(self) -> dict[str, Any]:
        # Of a blend, or the whole of it.
        effective = getattr(self._effective, "search", self._effective)
        return {
            "version": self._answers[-1][0].version if self._answers else 0,
            "k": effective.k,
            "nprobe": effective.nprobe,
            "k_factor": effective.k_factor,
            "degradation": self.degradation,
        }


def _pieces(rows: np.ndarray, most: int = 1 << 62) -> list[slice]:
    """How to cut rows, [n, dimension], into messages."""
    if len(rows) <= most and 0 < rows.nbytes <= _frames.MESSAGE_BYTES:
        return [slice(0, len(rows))]
    size = max(1, rows.shape[1]) * rows.itemsize
    step = max(1, min(most, _frames.MESSAGE_BYTES // size))
    return [
        slice(first, min(first + step, len(rows)))
        for first in range(0, len(rows), step)
    ]


def _rates(rate: Any, rows: int) -> Optional[np.ndarray]:
    """Rates frame by frame, None if `rate` is one for all."""
    if isinstance(rate, float) or np.ndim(rate) == 0:
        try:
            if 0 <= rate <= 1:
                return None
        except TypeError:  # no number at all
            pass
        raise InvalidArgument(
            f"rate {rate!r}: must be a number within 0..1",
            field="rate",
            reason="INVALID_FIELD",
        )
    rates = np.ascontiguousarray(rate, "<f4")
    if rates.shape != (rows,):
        raise InvalidArgument(
            f"rate has shape {rates.shape}: one number, or one per frame,"
            f" ({rows},)",
            field="rate",
            reason="INVALID_FIELD",
        )
    if not np.all((rates >= 0) & (rates <= 1)):
        raise InvalidArgument(
            "rate: every one must be within 0..1",
            field="rate",
            reason="INVALID_FIELD",
        )
    return rates

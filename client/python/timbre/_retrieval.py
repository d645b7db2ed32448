"""What Search and Blend of one voice, or of several mixed, do alike."""

from __future__ import annotations

import functools
from typing import Any, Callable, Optional, Union

import numpy as np

from timbre import _contract, _frames
from timbre._frames import Batch
from timbre._parameters import (
    assign,
    blend_params,
    check_choice,
    search_params,
)
from timbre._patience import Patience
from timbre._streams import Connection, Stream, Streams
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
            request = _contract.BlendRequest()
            _name_voices(request, voices, stream)
            return self._request(request, stream, None)

        def take(_: int, answer: bytes, stream: Stream) -> None:
            _Info(None).take(_contract.BlendResponse.FromString(answer), stream)

        self._blend.ask(
            1, encode, take, Patience(self._connection.timeout_s)
        )

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
            request = _contract.SearchRequest()
            _frames.fill(request.frames, rows[pieces[i]])
            return self._request(request, stream, params)

        def take(i: int, answer: bytes, stream: Stream) -> None:
            response = _contract.SearchResponse.FromString(answer)
            found = response.neighbors
            where = pieces[i] if good is None else good[pieces[i]]
            ids[where] = np.frombuffer(found.ids, "<i8").reshape(-1, k)
            distances[where] = np.frombuffer(
                found.distances, "<f4"
            ).reshape(-1, k)
            info.take(response, stream)

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
        info = _Info(params.search)
        pieces = _pieces(rows)
        whole = good is None and len(pieces) == 1
        out = np.empty(0) if whole else batch.rows.copy()

        def encode(i: int, stream: Stream) -> bytes:
            request = _contract.BlendRequest()
            _frames.fill(request.frames, rows[pieces[i]])
            if rates is not None:
                request.frame_index_rates = rates[pieces[i]].tobytes()
            _name_voices(request, voices, stream)
            return self._request(request, stream, params)

        def take(i: int, answer: bytes, stream: Stream) -> None:
            nonlocal out
            response = _contract.BlendResponse.FromString(answer)
            blended = _frames.read(response.frames)
            if whole:
                out = blended.astype(rows.dtype)
            else:
                where = pieces[i] if good is None else good[pieces[i]]
                out[where] = blended
            info.take(response, stream)
            info.sum_up(response, pieces[i].stop - pieces[i].start)

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
        patience = Patience(self._connection.timeout_s, budget_s)
        streams.ask(len(pieces), encode, take, patience)

    def _good_rows(
        self, x: Any, on_bad_frame: str
    ) -> tuple[Optional[np.ndarray], Batch]:
        """The numbers of the rows to send, None: all."""
        check_choice("on_bad_frame", on_bad_frame, ("raise", "source"))
        batch = Batch(x, self._dimension)
        if on_bad_frame == "raise":
            batch.require_good()
        if batch.bad is None:
            return None, batch
        return np.delete(np.arange(len(batch.rows)), batch.bad), batch

    def _request(self, request: Any, stream: Stream, params: Any) -> bytes:
        """Says who and how, where this stream does not know it yet."""
        if "voice" not in stream.said:
            stream.said["voice"] = True
            self._identify(request)
        if params is not None and stream.said.get("params") is not params:
            stream.said["params"] = params
            request.params.CopyFrom(params)
        serialized: bytes = request.SerializeToString()
        return serialized


def _name_voices(request: Any, voices: Voices, stream: Stream) -> None:
    """Names the voices to mix, where their weights are others now."""
    if stream.said.get("voices", ()) == voices:
        return
    stream.said["voices"] = voices
    for speaker, version, weight in voices:
        voice = request.voices.add(speaker=speaker, version=version)
        assign(voice, "weight", weight)


class _Info:
    """Collects what the answers of one call say of themselves."""

    def __init__(self, asked: Any) -> None:
        self._effective = asked
        self._version = 0
        self._versions: tuple[int, ...] = ()
        self._degradation = 0
        self._rows = 0
        self._distance = 0.0
        self._shift = 0.0

    def take(self, response: Any, stream: Stream) -> None:
        if response.HasField("effective"):
            # Said when it changes, so it holds for the stream.
            stream.heard["effective"] = response.effective
        effective = stream.heard.get("effective")
        if effective is not None:
            self._effective = getattr(effective, "search", effective)
        self._version = response.version
        self._degradation = max(self._degradation, response.degradation)

    def sum_up(self, response: Any, rows: int) -> None:
        self._versions = tuple(response.versions)
        self._rows += rows
        self._distance += rows * response.mean_distance
        self._shift += rows * response.mean_shift

    @property
    def degradation(self) -> str:
        return ("", "reduced", "passed_through")[self._degradation]

    def search(self) -> SearchInfo:
        return SearchInfo(**self._common())

    def blend(self) -> BlendInfo:
        rows = max(1, self._rows)
        return BlendInfo(
            **self._common(),
            mean_distance=self._distance / rows,
            mean_shift=self._shift / rows,
            versions=self._versions,
        )

    def _common(self) -> dict[str, Any]:
        return {
            "version": self._version,
            "k": self._effective.k,
            "nprobe": self._effective.nprobe,
            "k_factor": self._effective.k_factor,
            "degradation": self.degradation,
        }


def _pieces(rows: np.ndarray, most: int = 1 << 62) -> list[slice]:
    """How to cut rows, [n, dimension], into messages."""
    size = max(1, rows.shape[1]) * rows.itemsize
    step = max(1, min(most, _frames.MESSAGE_BYTES // size))
    return [
        slice(first, min(first + step, len(rows)))
        for first in range(0, len(rows), step)
    ]


def _rates(rate: Any, rows: int) -> Optional[np.ndarray]:
    """Rates frame by frame, None if `rate` is one for all."""
    if isinstance(rate, float) or np.ndim(rate) == 0:
        if 0 <= rate <= 1:
            return None
        raise InvalidArgument(
            f"rate {rate}: must be within 0..1",
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

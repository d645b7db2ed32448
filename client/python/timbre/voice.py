"""One voice of a server."""

from __future__ import annotations

from typing import Any, Optional, Union

import numpy as np

from timbre._closing import Closing
from timbre._retrieval import Retrieval
from timbre._stored import read_frames
from timbre._connection import Connection
from timbre.errors import InvalidArgument
from timbre.results import Version

_FLT_MAX = float(np.finfo(np.float32).max)


class Voice(Closing):
    """A speaker at one version, made by Client.speaker.

    The version stays the same for the life of the object, also when another
    one is activated or a connection is lost: a voice does not change in the
    middle of an utterance. Make a new Voice to get what is active then.

    Thread-safe: every thread that asks has a stream of its own, and streams
    stay open for the next call. `close` or `with` ends them.

    Attributes:
      speaker: its name.
      version: the version that it is pinned to.
      dimension: numbers per frame.
      frames_count: stored frames, the rows that ids index.
      info: all that the server says of the version.
    """

    def __init__(
        self, connection: Connection, speaker: str, info: Version
    ) -> None:
        self._connection = connection
        self.speaker = speaker
        self.info = info
        self.version = info.version
        self.dimension = info.dimension
        self.frames_count = info.frames

        def identify(request: Any) -> None:
            request.speaker = speaker
            request.version = info.version

        self._retrieval = Retrieval(
            connection,
            speaker,
            info.dimension,
            identify,
            _FLT_MAX if info.metric in ("l2", "unspecified") else -_FLT_MAX,
        )

    def search(
        self,
        x: Any,
        k: int = 8,
        *,
        nprobe: int = 0,
        k_factor: float = 0.0,
        target_recall: float = 0.0,
        latency_budget_s: Optional[float] = None,
        on_bad_frame: str = "raise",
        info: bool = False,
    ) -> Any:
        """Finds the k nearest stored frames of every frame.

        Args:
          x: frames, [n, dimension] or any shape whose last axis is dimension;
            numpy or torch, float32 or float16 (which travels as such).
          k: neighbours per frame, 1 to 1024; 0: 8.
          nprobe: lists visited; 0: the version's default.
          k_factor: k * k_factor candidates are re-ranked exactly, 1 to 1000;
            0: the version's default.
          target_recall: 0 to 1, instead of the two above: the cheapest
            measured setting that reaches it.
          latency_budget_s: seconds until the answer is needed, the network
            included. The server searches less, down to one list, to keep it.
          on_bad_frame: "raise" BadFrame for frames with NaN or infinity before
            anything is sent, or "source": they find nothing.
          info: also return how it was done.

        Returns:
          distances [n, k] float32 and ids [n, k] int64, nearest first, as
          faiss: squared L2 or inner product; where fewer than k were found
          the id is -1 and the distance FLT_MAX (L2) or -FLT_MAX. With `info`
          a SearchInfo too.

        Raises:
          Late: no answer within `latency_budget_s`.
          Error: see timbre.errors.
        """
        distances, ids, how = self._retrieval.search(
            x,
            (k, nprobe, k_factor, target_recall, latency_budget_s),
            on_bad_frame,
        )
        return (distances, ids, how()) if info else (distances, ids)

    def blend(
        self,
        x: Any,
        rate: Union[float, np.ndarray] = 0.75,
        k: int = 8,
        *,
        nprobe: int = 0,
        k_factor: float = 0.0,
        target_recall: float = 0.0,
        weighting: str = "inverse_square_distance",
        alpha: float = 0.0,
        latency_budget_s: Optional[float] = None,
        on_late: str = "source",
        on_bad_frame: str = "raise",
        info: bool = False,
    ) -> Any:
        """Mixes every frame with its nearest stored frames, as RVC does:
        rate * (weighted mean of the k nearest) + (1 - rate) * frame.

        Args:
          x: frames, as in `search`.
          rate: 0 to 1; or one number per frame, [n]. 0 makes no call.
          k, nprobe, k_factor, target_recall: as in `search`.
          weighting: "inverse_square_distance" (RVC: of the squared distance),
            "uniform" or "cosine_power" (cosine ** alpha).
          alpha: of "cosine_power", above 0 to 64; 0: 3.
          latency_budget_s: as in `search`; the server may also pass frames
            through.
          on_late: what happens where there is no answer in time, or only
            frames passed through: "source", the frames come back as they were
            (a live stream goes on), or "raise" Late.
          on_bad_frame: "raise" BadFrame before anything is sent, or "source":
            frames with NaN or infinity come back as they were, the others are
            mixed.
          info: also return how it was done.

        Returns:
          What x was: shape, dtype, numpy or torch, device. Always finite where
          x is. With `info` a BlendInfo too.

        Raises:
          Error: see timbre.errors.
        """
        out, how = self._retrieval.blend(
            x,
            rate,
            (k, nprobe, k_factor, target_recall, latency_budget_s),
            weighting,
            alpha,
            on_late,
            on_bad_frame,
        )
        return (out, how()) if info else out

    def frames(
        self,
        first_id: int = 0,
        count: int = 0,
        *,
        ids: Optional[Any] = None,
        dtype: Any = np.float32,
    ) -> np.ndarray:
        """Stored frames, [n, dimension].

        Args:
          first_id, count: a range; count 0: to the end.
          ids: these rows instead, in this order.
          dtype: float32, or float16 for half the bytes.
        """
        if ids is not None and (first_id or count):
            raise InvalidArgument(
                "ids excludes first_id and count",
                field="ids",
                reason="INVALID_FIELD",
            )
        return read_frames(
            self._connection,
            self.speaker,
            self.version,
            self.dimension,
            first_id,
            count,
            ids,
            np.dtype(dtype),
        )

    def close(self) -> None:
        """Ends the open streams, which hold the server's memory also between
        calls. The voice can still be used."""
        self._retrieval.close()

    def __repr__(self) -> str:
        return (
            f"<timbre.Voice {self.speaker} version {self.version}:"
            f" {self.frames_count} frames of {self.dimension}>"
        )

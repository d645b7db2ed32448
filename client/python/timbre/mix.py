"""Several voices mixed into one."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Union

import numpy as np

from timbre._closing import Closing
from timbre._retrieval import Retrieval, Voices
from timbre._connection import Connection
from timbre.errors import InvalidArgument
from timbre.results import Version


class Mix(Closing):
    """Made by Client.mix: every frame is mixed with the weighted sum of what
    each voice would mix it with. Versions are pinned as in Voice.
    Thread-safe.

    Attributes:
      weights: the weights of the voices, where a call gives no others.
      versions: the version of each voice.
      dimension: numbers per frame, the same in all.
    """

    def __init__(
        self,
        connection: Connection,
        weights: Mapping[str, float],
        infos: Mapping[str, Version],
    ) -> None:
        self.weights = dict(weights)
        self.versions = {name: infos[name].version for name in weights}
        self.dimension = next(iter(infos.values())).dimension
        self._retrieval = Retrieval(
            connection,
            next(iter(weights)),
            self.dimension,
            lambda request: None,  # every message may name the voices
            0.0,
        )

    def warm(self) -> None:
        """Has the server load the voices."""
        self._retrieval.warm(self._voices(None))

    def blend(
        self,
        x: Any,
        rate: Union[float, np.ndarray] = 0.75,
        k: int = 8,
        *,
        weights: Optional[Mapping[str, float]] = None,
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
        """As Voice.blend.

        Args:
          weights: others than those of the object, for this call: of the same
            voices, >= 0, not all 0. Only their proportions matter.
        """
        out, how = self._retrieval.blend(
            x,
            rate,
            (k, nprobe, k_factor, target_recall, latency_budget_s),
            weighting,
            alpha,
            on_late,
            on_bad_frame,
            self._voices(weights),
        )
        return (out, how()) if info else out

    def _voices(self, weights: Optional[Mapping[str, float]]) -> Voices:
        if weights is None:
            weights = self.weights
        unknown = set(weights) - set(self.versions)
        if unknown:
            raise InvalidArgument(
                f"weights: {', '.join(sorted(unknown))} is not one of"
                f" {', '.join(self.versions)}",
                field="weights",
                reason="INVALID_FIELD",
            )
        return tuple(
            (name, version, float(weights.get(name, 0.0)))
            for name, version in self.versions.items()
        )

    def close(self) -> None:
        """Ends the open streams, which hold the server's memory also between
        calls. The mix can still be used."""
        self._retrieval.close()

    def __repr__(self) -> str:
        parts = ", ".join(
            f"{name}: {weight:g}" for name, weight in self.weights.items()
        )
        return f"<timbre.Mix {parts}>"

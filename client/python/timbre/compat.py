"""Stands in for a local faiss index in code that exists.

    index = timbre.compat.faiss_index("alice", client)
    big_npy = index.reconstruct_n(0, index.ntotal)
    score, ix = index.search(npy, k=8)

The object keeps one version for its life, so that ids, `ntotal` and rows always
belong together. Workers that can change a few more lines want Voice.blend: it
needs neither `big_npy` nor the mixing in numpy.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from timbre.errors import InvalidArgument

if TYPE_CHECKING:
    from timbre.client import Client
    from timbre.voice import Voice

# What faiss has and a retrieval server does not need: accepted where it asks
# for nothing, else an error rather than a search that does something else.
_IGNORED = ("D", "I", "params")
# Workers divide by the distance: an exact match made NaN of a frame. The same
# clamp as in Applio's realtime pipeline.
_LEAST_DISTANCE = np.float32(1e-8)


class FaissIndex:
    """Made by `faiss_index`. Thread-safe, but for `nprobe`.

    Attributes:
      nprobe: lists visited by this object's searches; the version's default
        to begin with. Setting it changes nobody else's.
      ntotal: rows.
      d: numbers per row.
      is_trained: True.
    """

    is_trained = True

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._rows: Optional[np.ndarray] = None
        self.nprobe = voice.info.default_nprobe
        self.ntotal = voice.frames_count
        self.d = voice.dimension
        # faiss.METRIC_L2 is 1, METRIC_INNER_PRODUCT 0.
        self.metric_type = int(voice.info.metric in ("l2", "unspecified"))

    def search(
        self, x: Any, k: int = 8, **faiss_keywords: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """As faiss: distances [n, k] float32 and ids [n, k] int64. Torch
        tensors give torch tensors, as faiss.contrib.torch_utils does. Unlike
        faiss, squared L2 distances are at least 1e-8: workers divide by
        them."""
        for name, value in faiss_keywords.items():
            if name not in _IGNORED:
                raise TypeError(f"search() has no argument {name!r}")
            if value is not None:
                raise InvalidArgument(
                    f"{name}: not supported by a remote index; set `nprobe`",
                    field=name,
                    reason="UNSUPPORTED",
                )
        distances, ids = self._voice.search(x, k, nprobe=int(self.nprobe))
        if self.metric_type == 1:
            np.maximum(distances, _LEAST_DISTANCE, out=distances)
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(x, torch.Tensor):
            return tuple(
                torch.from_numpy(found).to(x.device)
                for found in (distances, ids)
            )
        return distances, ids

    def reconstruct_n(self, n0: int = 0, ni: int = -1) -> np.ndarray:
        """Rows [n0, n0 + ni), [ni, d] float32; ni -1: to the end. Fetched when
        first asked for, all at once, and then kept."""
        end = self.ntotal if ni == -1 else n0 + ni
        if not 0 <= n0 <= end <= self.ntotal:
            raise IndexError(f"rows [{n0}, {end}) of {self.ntotal}")
        if self._rows is None:
            if (n0, end) != (0, self.ntotal):
                return (
                    self._voice.frames(n0, end - n0)
                    if end > n0
                    else np.empty((0, self.d), np.float32)
                )
            self._rows = self._voice.frames()
        return self._rows[n0:end].copy()

    def reconstruct(self, key: int) -> np.ndarray:
        """Row `key`, [d] float32."""
        if not 0 <= key < self.ntotal:
            raise IndexError(f"row {key} of {self.ntotal}")
        if self._rows is not None:
            row = self._rows[key]
        else:
            row = self._voice.frames(int(key), 1)[0]
        return np.array(row)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<timbre.compat.FaissIndex over {self._voice!r}>"


def faiss_index(
    speaker: str, client: Client, *, version: int = 0
) -> FaissIndex:
    """An object with the methods of a faiss index that RVC, Applio, so-vits-svc
    and w-okada's voice-changer use.

    Args:
      speaker: its name.
      client: may be shared.
      version: 0: the one that is active now.
    """
    return FaissIndex(client.speaker(speaker, version=version))

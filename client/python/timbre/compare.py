"""Does it sound the same? A worker's local index against a Timbre voice.

    python -m timbre.compare alice added_IVF2564_Flat_nprobe_1_alice_v2.index \\
        source.npy --server 127.0.0.1:7400

needs `pip install timbre[compare]` (faiss-cpu); `compare` itself takes any
object that searches as faiss does.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
import warnings
from typing import Any, Callable, Optional, Sequence

import numpy as np

from timbre._npy import open_frames
from timbre._wrappers import loss_of
from timbre.client import Client
from timbre.errors import Error, InvalidArgument
from timbre.voice import Voice

_BLOCK = 16  # frames of a live message
_MOST_BLOCKS = 200


@dataclasses.dataclass(frozen=True)
class Contender:
    """One way to convert the same frames.

    Attributes:
      name: which.
      recall: share of the true k nearest that it found, among its own frames;
        ties by distance count as found.
      blend_error: mean |blend - exact blend| / |exact blend|, at rate 1.
      shift: mean |blend - frame| / |frame|, at the rate that is compared.
      block_us: microseconds a frame in blocks of 16: median.
      whole_us: microseconds a frame, all frames in one call: median.
    """

    name: str
    recall: float
    blend_error: float
    shift: float
    block_us: float
    whole_us: float


def rvc_blend(
    x: np.ndarray, distances: np.ndarray, rows: np.ndarray, rate: float
) -> np.ndarray:
    """RVC's pipeline, with the clamp that it lacks: rows are big_npy[ids]."""
    weights = np.square(1 / np.maximum(distances, 1e-6))
    weights /= weights.sum(axis=1, keepdims=True)
    mixed = np.sum(rows * weights[:, :, None], axis=1)
    out: np.ndarray = rate * mixed + (1 - rate) * x
    return out


def compare(
    voice: Voice,
    index: Any,
    queries: np.ndarray,
    *,
    k: int = 8,
    rate: float = 0.75,
    nprobe: int = 0,
    name: str = "local faiss",
) -> list[Contender]:
    """Converts `queries` both ways and judges each against exact search.

    Args:
      voice: the remote one.
      index: a faiss index, searched as it is (nprobe 1, unless it was set).
      queries: [n, dimension], of another voice; a thousand tell enough.
      k, rate: as in Voice.blend. nprobe: the voice's; 0: its default.

    Returns:
      The local way and the remote one. Warns where the two hardly share a
      frame.
    """
    metrics = (getattr(index, "metric_type", 1), voice.info.metric)
    if metrics not in ((1, "l2"), (1, "unspecified")):
        raise InvalidArgument(
            f"metric {voice.info.metric} of the voice, number {metrics[0]} of"
            " faiss of the index: only L2 indices can be compared",
            field="metric",
            reason="UNSUPPORTED",
        )
    x = np.ascontiguousarray(queries, np.float32)
    big_npy = index.reconstruct_n(0, index.ntotal)

    def local(block: np.ndarray) -> np.ndarray:
        distances, ids = index.search(block, k)
        return rvc_blend(block, distances, big_npy[ids], rate)

    def remote(block: np.ndarray) -> np.ndarray:
        out: np.ndarray = voice.blend(block, rate, k, nprobe=nprobe)
        return out

    distances, ids, info = voice.search(x, k, nprobe=nprobe, info=True)
    shown = f"timbre, nprobe {info.nprobe}, k_factor {info.k_factor:g}"
    found = index.search(x, k)
    rows = voice.frames()
    share = share_held(big_npy, rows)
    if share < 0.5:
        warnings.warn(
            f"of the index's frames the voice has {100 * share:.0f} %: is it"
            " of another voice, or are frames reduced to centroids?",
            stacklevel=2,
        )
    lost = loss_of(index)
    if lost:
        off = ""
        if big_npy.shape == rows.shape:
            off = f" (off by {100 * _relative(big_npy, rows):.0f} %)"
        warnings.warn(
            f"the index does not give back what it got{off}: {lost}",
            stacklevel=2,
        )
    return [
        _judge(name, x, big_npy, found[0], found[1], rate, local),
        _judge(shown, x, rows, distances, ids, rate, remote),
    ]


def share_held(frames: np.ndarray, rows: np.ndarray) -> float:
    """The share of `frames`, of 64 of them, that are among `rows` too, up to
    the rounding of float16."""
    sample = frames[np.linspace(0, len(frames) - 1, 64).astype(int)]
    distances, _ = exact_search(rows, sample, 1)
    norms = np.square(sample.astype(np.float64)).sum(axis=1)
    return float(np.mean(distances[:, 0] <= 1e-5 * norms))


def _judge(
    name: str,
    x: np.ndarray,
    rows: np.ndarray,
    distances: np.ndarray,
    ids: np.ndarray,
    rate: float,
    convert: Callable[[np.ndarray], np.ndarray],
) -> Contender:
    true_distances, true_ids = exact_search(rows, x, ids.shape[1])
    limit = true_distances[:, -1:] * (1 + 1e-5)
    approximate = rvc_blend(x, distances, rows[ids], 1)
    exact = rvc_blend(x, true_distances, rows[true_ids], 1)
    return Contender(
        name,
        recall=float(np.mean((ids >= 0) & (distances <= limit))),
        blend_error=_relative(approximate, exact),
        shift=_relative(convert(x), x),
        block_us=_us_a_frame(convert, x, _BLOCK),
        whole_us=_us_a_frame(convert, x, len(x)),
    )


def exact_search(
    rows: np.ndarray, queries: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Squared L2 distances and ids of the k nearest, in double precision."""
    k = min(k, len(rows))
    wide = rows.astype(np.float64)
    norms = np.square(wide).sum(axis=1)
    distances = np.empty((len(queries), k))
    ids = np.empty((len(queries), k), np.int64)
    for first in range(0, len(queries), 100):
        block = queries[first : first + 100].astype(np.float64)
        all_ = norms - 2 * block @ wide.T + np.square(block).sum(1)[:, None]
        near = np.argpartition(all_, k - 1, axis=1)[:, :k]
        found = np.square(wide[near] - block[:, None]).sum(axis=2)
        order = np.argsort(found, axis=1, kind="stable")
        ids[first : first + 100] = np.take_along_axis(near, order, 1)
        distances[first : first + 100] = np.take_along_axis(found, order, 1)
    return distances, ids


def _relative(a: np.ndarray, b: np.ndarray) -> float:
    norms = np.linalg.norm(b, axis=1)
    some = norms > 0
    errors = np.linalg.norm(a[some] - b[some], axis=1) / norms[some]
    return float(errors.mean()) if some.any() else 0.0


def _us_a_frame(
    convert: Callable[[np.ndarray], np.ndarray], x: np.ndarray, block: int
) -> float:
    block = min(block, len(x))
    blocks = [x[i : i + block] for i in range(0, len(x) - block + 1, block)]
    blocks = (blocks * 5)[:_MOST_BLOCKS]
    convert(blocks[0])
    times = []
    for each in blocks:
        start = time.perf_counter()
        convert(each)
        times.append(time.perf_counter() - start)
    return 1e6 * statistics.median(times) / block


def table(contenders: Sequence[Contender]) -> str:
    """The figures as text."""
    width = max(len(each.name) for each in contenders)
    lines = [
        f"{'':{width}}  recall  blend error   shift"
        "  us/frame, 16  us/frame, all"
    ]
    for each in contenders:
        lines.append(
            f"{each.name:{width}}  {each.recall:6.3f}"
            f"  {100 * each.blend_error:9.1f} %"
            f"  {100 * each.shift:4.1f} %"
            f"  {each.block_us:12.1f}  {each.whole_us:13.1f}"
        )
    return "\n".join(lines)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m timbre.compare", description=__doc__
    )
    parser.add_argument("speaker")
    parser.add_argument("index_file")
    parser.add_argument("queries", help="frames of another voice, .npy")
    parser.add_argument("--server", help="HOST:PORT")
    parser.add_argument("--nprobe", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.75)
    parser.add_argument("--frames", type=int, default=1000)
    given = parser.parse_args(arguments)
    try:
        import faiss

        index = faiss.read_index(given.index_file)
        queries = open_frames(given.queries)[: given.frames]
        with Client(given.server) as client:
            with client.speaker(given.speaker, dimension=index.d) as voice:
                found = compare(
                    voice, index, queries, rate=given.rate, nprobe=given.nprobe
                )
    except ImportError as error:
        parser.exit(3, f"{error}: pip install timbre[compare]\n")
    except (Error, OSError, RuntimeError, ValueError) as error:
        parser.exit(3, f"timbre.compare: {error}\n")
    print(table(found))
    print(
        "Recall and blend error: against exact search among each one's own"
        f" frames.\nShift: at rate {given.rate:g}. Times: medians; local ones"
        " with faiss and numpy of this environment."
    )


if __name__ == "__main__":
    main()

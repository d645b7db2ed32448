"""What indices of faiss have lost of the frames that were added to them."""

from __future__ import annotations

from typing import Any

_METRICS = {0: "inner product", 1: "L2"}


def loss_of(index: Any) -> str:
    """Why the rows that an index gives back are not the frames that it got,
    or are so in another order or metric; empty: they are. Of anything but an
    index of faiss nothing is known: empty."""
    if type(index).__module__.partition(".")[0] != "faiss":
        return ""
    import faiss

    metric = index.metric_type
    if metric not in _METRICS:
        return (
            f"its metric (number {metric} of faiss) is neither L2 nor inner"
            " product, so it finds other frames"
        )
    return _loss_of(faiss, faiss.downcast_index(index))


def _loss_of(faiss: Any, index: Any) -> str:
    # faiss's wrappers, the outermost first.
    if isinstance(index, faiss.IndexRefine):
        return _loss_of(faiss, faiss.downcast_index(index.refine_index))
    if isinstance(index, (faiss.IndexIDMap, faiss.IndexIDMap2)):
        return "it has ids of its own (IDMap), so rows have no order"
    if isinstance(index, faiss.IndexPreTransform):
        for i in range(index.chain.size()):
            step = faiss.downcast_VectorTransform(index.chain.at(i))
            lost = _loss_in(faiss, step)
            if lost:
                return lost
        return _loss_of(faiss, faiss.downcast_index(index.index))
    if isinstance(index, faiss.IndexIVFFlat):
        return "" if _has_plain_ids(faiss, index) else (
            "its ids are not 0, 1, 2 ... each once, so rows have no order to"
            " take over"
        )
    if isinstance(index, (faiss.IndexFlat, faiss.IndexHNSWFlat)):
        return ""
    return (
        f"it keeps codes ({type(index).__name__}), not frames: what it gives"
        " back are approximations"
    )


def _loss_in(faiss: Any, step: Any) -> str:
    """What one transform loses."""
    if isinstance(step, faiss.NormalizationTransform):
        return (
            "its frames were normalised before they were added (L2norm): their"
            " lengths are lost"
        )
    if step.d_out < step.d_in:
        kept = ""
        if isinstance(step, faiss.PCAMatrix) and step.eigenvalues.size():
            values = faiss.vector_to_array(step.eigenvalues).clip(min=0)
            lost = values[step.d_out :].sum() / max(values.sum(), 1e-30)
            kept = f", {100 * lost**0.5:.0f} % of their spread"
        return (
            f"its frames were reduced from {step.d_in} to {step.d_out}"
            f" dimensions ({type(step).__name__}): the rest is lost{kept}"
        )
    linear = isinstance(step, faiss.LinearTransform)
    if linear and step.is_orthonormal and step.d_out == step.d_in:
        return ""
    if isinstance(step, faiss.CenteringTransform):
        return ""
    return (
        f"its frames were transformed ({type(step).__name__}), which cannot be"
        " undone"
    )


def _has_plain_ids(faiss: Any, index: Any) -> bool:
    import numpy as np

    lists = index.invlists
    ids = [
        faiss.rev_swig_ptr(lists.get_ids(i), lists.list_size(i)).copy()
        for i in range(index.nlist)
        if lists.list_size(i)
    ]
    found = np.sort(np.concatenate(ids)) if ids else np.empty(0, np.int64)
    return np.array_equal(found, np.arange(index.ntotal))

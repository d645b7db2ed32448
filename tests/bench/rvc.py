"""What RVC's pipeline does with the neighbours that faiss found."""

import numpy as np

RATE = 0.75


def mix(frames, distances, rows):
    """Clamped, where RVC divides by zero. Shapes [n, d], [n, k], [n, k, d]."""
    weights = np.square(1 / np.maximum(distances, 1e-6))
    weights /= weights.sum(axis=1, keepdims=True)
    mixed = np.sum(rows * weights[:, :, None], axis=1)
    return RATE * mixed + (1 - RATE) * frames

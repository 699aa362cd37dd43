"""Scikit-learn's handwritten digits, from which several sources are made."""

from __future__ import annotations

import numpy as np


def digits() -> tuple[np.ndarray, np.ndarray]:
    """uint8 [1797, 8, 8], bright on black, and int64 [1797]."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.rint(bunch.images * (255 / 16)).astype(np.uint8), bunch.target.astype(np.int64)  # its own range is 0..16

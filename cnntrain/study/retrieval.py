"""Images by their features: which are nearest to one, and how often the nearest are of its class."""

from __future__ import annotations

import numpy as np

ROWS = 1024  # whose similarities are in memory at once


def unit(features: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32, so that products are cosines; a row of zeros stays one."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.where(length > 0, length, 1)).astype(np.float32)


def nearest(features: np.ndarray, query: np.ndarray, k: int, but: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows with the greatest cosine to each query, the nearest first, and those cosines: [queries, k] each.

    Args:
        features: [n, width] of length 1.
        query: [queries, width] of length 1.
        but: int64 [queries], a row that each query leaves out; -1: none.
    """
    cosines = query @ features.T
    (rows,) = np.nonzero(but >= 0)
    cosines[rows, but[rows]] = -np.inf
    found = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return found, np.take_along_axis(cosines, found, axis=1)


def right_by_neighbours(features: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Whether most of the `k` nearest others of each row are of its label, bool [n]; of labels that are equally many
    the one with the nearest row counts.

    Args:
        features: [n, width] of length 1.
        labels: int64 [n], from 0.
    """
    right = np.zeros(len(labels), dtype=bool)
    count = int(labels.max()) + 1
    for start in range(0, len(labels), ROWS):
        places = np.arange(start, min(start + ROWS, len(labels)))
        found, _ = nearest(features, features[places], k, places)
        votes = labels[found]
        for place, row in zip(places, votes, strict=True):
            tally = np.bincount(row, minlength=count)
            winner = next(each for each in row if tally[each] == tally.max())
            right[place] = winner == labels[place]
    return right

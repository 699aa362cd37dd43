"""Intervals by bootstrap over images (Efron 1979): they are drawn anew with replacement, and each figure computed
again."""

from __future__ import annotations

import numpy as np

from cnntrain.core.intervals import LEVEL
from cnntrain.tasks.segment.metrics import figures, per_class

DRAWS = 1000
SEED = 0  # so that the same answers have the same intervals
ENDS = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]


def intervals(counts: np.ndarray) -> dict[str, list[float]]:
    """Low and high end of the percentile interval of `LEVEL` of each figure.

    Args:
        counts: int64 [images, 3, classes], of at least one image.
    """
    drawn = figures(_drawn(counts))
    return {name: np.nanpercentile(values, ENDS).tolist() for name, values in drawn.items() if _known(values)}


def of_classes(counts: np.ndarray) -> list[list[float] | None]:
    """The same of each class's intersection over union; None where there is no union."""
    found = per_class(_drawn(counts)).T
    return [np.nanpercentile(each, ENDS).tolist() if _known(each) else None for each in found]


def _known(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).any())


def _drawn(counts: np.ndarray) -> np.ndarray:
    """float64 [draws, 3, classes]: sums over images drawn anew."""
    n = len(counts)
    times = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), DRAWS)
    return (times.astype(np.float64) @ counts.reshape(n, -1)).reshape(DRAWS, *counts.shape[1:])

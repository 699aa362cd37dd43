"""Intervals of a segmentation's figures by bootstrap over images."""

from __future__ import annotations

import numpy as np

from cnntrain.core import bootstrap
from cnntrain.tasks.segment.metrics import figures, per_class


def intervals(counts: np.ndarray) -> dict[str, list[float]]:
    """Low and high end of each figure, where it is known.

    Args:
        counts: int64 [images, 3, classes], of at least one image.
    """
    drawn = figures(_drawn(counts))
    return {name: ends for name, values in drawn.items() if (ends := bootstrap.within(values)) is not None}


def of_classes(counts: np.ndarray) -> list[list[float] | None]:
    """The same of each class's intersection over union; None where there is no union."""
    return [bootstrap.within(each) for each in per_class(_drawn(counts)).T]


def _drawn(counts: np.ndarray) -> np.ndarray:
    """float64 [draws, 3, classes]: sums over images drawn anew."""
    drawn = bootstrap.times(len(counts)) @ counts.reshape(len(counts), -1)
    return drawn.reshape(-1, *counts.shape[1:])

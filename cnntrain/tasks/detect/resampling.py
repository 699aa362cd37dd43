"""Intervals by bootstrap over images (Efron 1979): they are drawn anew with replacement, and each figure computed
again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnntrain.core.intervals import LEVEL
from cnntrain.tasks.base import Column
from cnntrain.tasks.detect.metrics import resampled

DRAWS = 1000
SEED = 0  # so that the same answers have the same intervals
ENDS = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]


def intervals(table: np.ndarray, columns: Sequence[Column]) -> dict[str, list[float]]:
    """Low and high end of the percentile interval of `LEVEL` of each column but the loss.

    Args:
        table: see `rows`, of at least one image.
    """
    drawn = resampled(table, columns, times(len(table)))
    return {name: ends for name, values in drawn.items() if (ends := within(values)) is not None}


def times(images: int) -> np.ndarray:
    """float64 [draws, images]: how often each is drawn."""
    draws = np.random.default_rng(SEED).multinomial(images, np.full(images, 1 / images), DRAWS)
    return draws.astype(np.float64)


def within(values: np.ndarray) -> list[float] | None:
    """The ends; None where no value is known."""
    return np.nanpercentile(values, ENDS).tolist() if np.isfinite(values).any() else None

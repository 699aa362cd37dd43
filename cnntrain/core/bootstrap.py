"""Intervals by bootstrap (Efron 1979): samples are drawn anew with replacement, and each figure computed again."""

from __future__ import annotations

import numpy as np

from cnntrain.core.intervals import LEVEL

DRAWS = 1000
SEED = 0  # so that the same answers have the same intervals
ENDS = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]


def times(samples: int) -> np.ndarray:
    """float64 [draws, samples]: how often each is drawn."""
    draws = np.random.default_rng(SEED).multinomial(samples, np.full(samples, 1 / samples), DRAWS)
    return draws.astype(np.float64)


def within(values: np.ndarray) -> list[float] | None:
    """Low and high end of the percentile interval of `LEVEL`, of a figure [draws]; None where no value is known."""
    return np.nanpercentile(values, ENDS).tolist() if np.isfinite(values).any() else None

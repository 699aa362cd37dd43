"""The signals of MNIST-1D (Greydanus 2020, arXiv:2011.14439), drawn anew: the same numbers as the author's.

A digit's shape is twelve values. Each signal is one of them that is padded, stretched, made louder or softer and turned
round a circle; what is still zero becomes noise of neighbours that are alike, and noise is added everywhere; then a
slope is taken away, and every so many values are kept.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

SEED = 42
EACH = 500  # signals of a class
TRAIN = 4000  # the first so many of all
PADDING = (36, 60)  # zeros behind the shape, at least and at most
LONG, LENGTH = 72, 40  # values before and after the last step
LOUDER = 0.4  # width of the interval about 1 of a signal's factor
MOVED = 48  # places, less than
SMOOTH, NOISE, ALIKE = 0.25, 0.02, 2  # deviations of both noises; over how many neighbours the first is averaged
SLOPE = 0.75
TINY = 1e-8  # so that a shape's zeros are no padding
SHAPES = """
5 6 6.5 6.75 7 7 7 7 6.75 6.5 6 5
5 3 3 3.4 3.8 4.2 4.6 5 5.4 5.8 5 5
5 6 6.5 6.5 6 5.25 4.75 4 3.5 3.5 4 5
5 6 6.5 6.5 6 5 5 6 6.5 6.5 6 5
5 4.4 3.8 3.2 2.6 2.6 5 5 5 5 5 5
5 3 3 3 3 5 6 6.5 6.5 6 4.5 5
5 4 3.5 3.25 3 3 3 3 3.25 3.5 4 5
5 7 7 6.6 6.2 5.8 5.4 5 4.6 4.2 5 5
5 4 3.5 3.5 4 5 5 4 3.5 3.5 4 5
5 4 3.5 3.5 4 5 5 5 5 4.7 4.3 5
"""  # of 0 to 9, a line each


def mnist1d() -> tuple[np.ndarray, np.ndarray]:
    """float64 [5000, 40], of mean 0 and deviation 1 in all, and int64 [5000]; the classes are mixed."""
    shapes = np.array([line.split() for line in SHAPES.split("\n") if line], dtype=np.float64)
    shapes = (shapes - shapes.mean(1, keepdims=True)) / shapes.std(1, keepdims=True)
    shapes = (shapes - shapes[:, :1]) / 6
    draws = np.random.RandomState(SEED)  # the generator that the author's numbers come from
    signals = np.stack([_drawn(shape, draws) for shape in shapes for _ in range(EACH)])
    order = draws.permutation(len(signals))
    signals = signals[order]
    return (signals - signals.mean()) / signals.std(), (order // EACH).astype(np.int64)


def _drawn(shape: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
    least, most = PADDING
    padded = np.append(shape + TINY, np.zeros(least + int(draws.rand() * (most - least + 1))))
    signal = _resampled(padded, LONG) * (1 + LOUDER * (draws.rand() - 0.5))
    signal = np.roll(signal, draws.choice(MOVED))
    smooth = gaussian_filter1d(SMOOTH * draws.randn(LONG), ALIKE)
    signal = np.where(signal != 0, signal, smooth) + NOISE * draws.randn(LONG)
    signal -= SLOPE * (draws.rand() - 0.5) * np.linspace(-0.5, 0.5, LONG)
    return _resampled(signal, LENGTH)


def _resampled(values: np.ndarray, count: int) -> np.ndarray:
    """So many values, along straight lines between those that there are."""
    return np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(values)), values)

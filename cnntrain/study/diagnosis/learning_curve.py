"""Would more data help? The error by the number of training images, as a power law with its uncertainty.

Errors fall as a power of the images over wide ranges (Hestness et al. 2017, arXiv:1712.00409).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SAMPLES = 2000
FACTORS = (2, 4)  # times the images, that are looked ahead
LEAST = 3  # points
DEVIATIONS = 2.5  # of a point from the law, on average, above which it is none


@dataclass(frozen=True)
class Point:
    """Attributes:
    images: that were trained on.
    error: of val, a fraction.
    count: images of val.
    """

    images: int
    error: float
    count: int


def fit(points: Sequence[Point]) -> dict[str, Any]:
    """``error = scale * images ** -exponent`` through `points`, and the errors that it foretells, as plain values.

    Intervals of 95% come from errors drawn anew, binomial as far as the images of val tell; that a training turns out
    otherwise with another seed is not in them. ``helps`` is whether twice the images are expected to lower the error,
    by an interval clear of 0; None where that is not resolved, or where no power law goes through the points.

    Raises:
        ValueError: fewer than `LEAST` points.
    """
    if len(points) < LEAST:
        raise ValueError(f"a curve needs {LEAST} points, not {len(points)}")
    images = np.array([each.images for each in points], dtype=float)
    counts = np.array([each.count for each in points])
    errors = np.array([each.error for each in points])
    wrong = np.round(errors * counts)
    law, off = _line(images, wrong[None], counts)
    shares = (wrong + 0.5) / (counts + 1)
    drawn = np.random.default_rng(0).binomial(counts, shares, (SAMPLES, len(points)))
    laws, _ = _line(images, drawn, counts)
    low, high = np.quantile(laws[:, 1], [0.025, 0.975])
    fits = bool(off[0] <= DEVIATIONS)
    helps = None if not fits or low <= 0 <= high else bool(low > 0)
    return {
        "points": [{"images": each.images, "error": each.error, "count": each.count} for each in points],
        "scale": float(np.exp(law[0, 0])),
        "exponent": float(law[0, 1]),
        "exponent_interval": [float(low), float(high)],
        "deviations": float(off[0]),
        "fits": fits,
        "helps": helps,
        "ahead": [_ahead(factor * images.max(), law, laws) for factor in FACTORS],
    }


def _line(images: np.ndarray, wrong: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares in logarithms, of each row of wrong answers [rows, points].

    Returns:
        [rows, 2]: logarithm of the scale, exponent; [rows]: root mean square deviation of the points from the line.
    """
    shares = (wrong + 0.5) / (counts + 1)  # none is 0
    weights = counts * shares / (1 - shares)  # one over the variance of the logarithm
    x, y = np.log(images), np.log(shares)
    total = weights.sum(1)
    x_mean, y_mean = (weights * x).sum(1) / total, (weights * y).sum(1) / total
    slope = (weights * (x - x_mean[:, None]) * y).sum(1) / (weights * (x - x_mean[:, None]) ** 2).sum(1)
    rest = y - y_mean[:, None] - slope[:, None] * (x - x_mean[:, None])
    off = np.sqrt((weights * rest**2).sum(1) / max(1, len(images) - 2))
    return np.stack([y_mean - slope * x_mean, -slope], axis=1), off


def _ahead(images: float, law: np.ndarray, laws: np.ndarray) -> dict[str, Any]:
    def foretold(of: np.ndarray) -> np.ndarray:
        return np.minimum(1.0, np.exp(of[:, 0] - of[:, 1] * np.log(images)))

    low, high = np.quantile(foretold(laws), [0.025, 0.975])
    return {"images": round(images), "error": float(foretold(law)[0]), "interval": [float(low), float(high)]}


def in_words(curve: dict[str, Any]) -> str:
    """The answer in a line."""
    low, high = curve["exponent_interval"]
    law = f"error ~ images^{-curve['exponent']:.2g} [{-high:.2g}, {-low:.2g}]"
    if not curve["fits"]:
        return f"{law}, but the points are {curve['deviations']:.1f} deviations off it: nothing is foretold"
    if curve["helps"] is None:
        return f"{law}: not resolved whether more images help; more fractions or val images would tell"
    if not curve["helps"]:
        return f"{law}: more images do not help at this number of steps"
    twice = curve["ahead"][0]
    sure = f"[{100 * twice['interval'][0]:.1f}, {100 * twice['interval'][1]:.1f}]"
    return f"{law}: more images help; {twice['images']:,} are expected to give {twice['error']:.1%} {sure}"

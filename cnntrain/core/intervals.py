"""How sure a number is that was found on some samples."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

LEVEL = 0.95
DEVIATIONS = NormalDist().inv_cdf((1 + LEVEL) / 2)


def of_proportion(share: float, count: int) -> list[float]:
    """Low and high end of the interval of `LEVEL` of a share of samples (Wilson 1927,
    doi:10.1080/01621459.1927.10502953)."""
    right, square = round(share * count), DEVIATIONS**2
    middle = (right + square / 2) / (count + square)
    reach = DEVIATIONS * sqrt(right * (count - right) / count + square / 4) / (count + square)
    return [0.0 if right == 0 else middle - reach, 1.0 if right == count else middle + reach]

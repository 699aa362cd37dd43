"""How sure a number is that was found on some samples."""

from __future__ import annotations

LEVEL = 0.95


def of_proportion(share: float, count: int) -> list[float]:
    """Low and high end of the interval of `LEVEL` of a share of samples (Wilson 1927,
    doi:10.1080/01621459.1927.10502953)."""
    from scipy.stats import binomtest  # half a second of imports, at the end of a run

    found = binomtest(round(share * count), count).proportion_ci(LEVEL, method="wilson")
    return [float(found.low), float(found.high)]

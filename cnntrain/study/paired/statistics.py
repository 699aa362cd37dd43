"""How sure a difference is between networks that answered to the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from scipy.stats import binom, binomtest, norm
from scipy.stats import t as student

from cnntrain.core.intervals import LEVEL

DRAWS = 10_000
SEED = 0  # so that the same answers have the same interval
POWER = 0.8


@dataclass(frozen=True)
class McNemar:
    """Whether samples flip one way more often than the other (McNemar 1947, doi:10.1007/BF02295996).

    Attributes:
        p: exact, two-sided; of few flips too large rather than too small.
        mid_p: half of the chance of what was seen is left out (Fagerland et al. 2013, doi:10.1186/1471-2288-13-91).
    """

    p: float
    mid_p: float


@dataclass(frozen=True)
class Difference:
    """Between two systems: the first's accuracy less the second's.

    Attributes:
        interval: of `LEVEL`; of single runs by bootstrap, else by Student's t.
        p: two-sided, that there is none; McNemar's exact one of single runs, else of Student's t.
        interval_of_samples: by bootstrap: other samples would come, the runs being these.
        of_one: variance of the difference of one sample.
        of_seeds: what the variance of `value` owes to seeds; None where no system has several runs.
    """

    value: float
    interval: list[float]
    p: float
    interval_of_samples: list[float]
    of_one: float
    of_seeds: float | None


def mcnemar(one_way: int, other_way: int) -> McNemar:
    """Of how many samples are right for the first alone, and for the second alone."""
    flips, fewer = one_way + other_way, min(one_way, other_way)
    if not flips:
        return McNemar(1.0, 1.0)
    p = float(binomtest(one_way, flips).pvalue)
    seen = float(binom.pmf(fewer, flips, 0.5)) * (1 if one_way == other_way else 2)
    return McNemar(p, p - seen / 2)


def bootstrap(gaps: np.ndarray) -> list[float]:
    """Percentile interval of `LEVEL` of the mean of paired differences [n], each from -1 to 1.

    One sample of each way is added (Bonett and Price 2012, doi:10.3102/1076998611411915), else no flips at all would
    look like certainty. Few values occur, so a draw of n samples is one of how often each value occurs.
    """
    values, counts = np.unique(np.append(gaps, [-1, 1]), return_counts=True)
    n = len(gaps) + 2
    drawn = np.random.default_rng(SEED).multinomial(n, counts / n, size=DRAWS) @ values / n
    return np.percentile(drawn, [50 * (1 - LEVEL), 50 * (1 + LEVEL)]).tolist()


def difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """Between two systems, from which samples are right: bool [runs, n] each, n alike.

    Of single runs it is between these two networks. Of several the runs stand for all seeds and the samples for all
    samples: the variance is that of the samples and that of the seeds, less what is in both.
    """
    gaps = first.mean(0) - second.mean(0)
    value, n = float(gaps.mean()), len(gaps)
    of_samples, of_one = bootstrap(gaps), float(gaps.var())
    if len(first) == len(second) == 1:
        p = mcnemar(int((gaps > 0).sum()), int((gaps < 0).sum())).p
        return Difference(value, of_samples, p, of_samples, of_one, None)
    seeds = _seeds(first, second)
    shared = _shared(first, second)
    by_samples = float(np.append(gaps, [-1, 1]).var()) / (n + 2)
    of_seeds = max(sum(variance for variance, _ in seeds) - shared, 0.0)
    parts = [(by_samples, n - 1), *seeds]
    total = by_samples + of_seeds
    freedom = max(total**2 / sum(v**2 / free for v, free in parts), min(free for _, free in parts))  # Satterthwaite
    reach = float(student.ppf((1 + LEVEL) / 2, freedom)) * sqrt(total)
    p = 2 * float(student.sf(abs(value) / sqrt(total), freedom))
    return Difference(value, [value - reach, value + reach], p, of_samples, of_one, of_seeds)


def _seeds(first: np.ndarray, second: np.ndarray) -> list[tuple[float, int]]:
    """Variances of the systems' mean accuracies over their runs, with their degrees of freedom; a system of one run
    varies as the other does."""
    several = [each for each in (first, second) if len(each) > 1]
    found = [(float(each.mean(1).var(ddof=1)), len(each) - 1) for each in several]
    if len(found) == 1:
        variance, free = found[0]
        return [(variance * (1 / len(first) + 1 / len(second)), free)]
    return [(variance / len(each), free) for each, (variance, free) in zip(several, found, strict=True)]


def _shared(first: np.ndarray, second: np.ndarray) -> float:
    """How far runs of one system disagree on single samples: this varies with samples and with seeds alike."""
    several = [each for each in (first, second) if len(each) > 1]
    within = [float(each.var(axis=0, ddof=1).mean()) for each in several]
    of_each = within if len(within) == 2 else within * 2
    runs, n = (len(first), len(second)), first.shape[1]
    return sum(each / (count * n) for each, count in zip(of_each, runs, strict=True))


def of_runs(values: Sequence[float]) -> list[float] | None:
    """Student's t interval of `LEVEL` of the mean of independent runs; None of one run."""
    if len(values) < 2:
        return None
    found = np.asarray(values)
    reach = student.ppf((1 + LEVEL) / 2, len(found) - 1) * found.std(ddof=1) / sqrt(len(found))
    return [float(found.mean() - reach), float(found.mean() + reach)]


def holm(values: Sequence[float]) -> list[float]:
    """p values of several comparisons, so adjusted that one of those below 5% is wrong in at most 5% of such studies
    (Holm 1979, https://www.jstor.org/stable/4615733)."""
    order = np.argsort(values, kind="stable")
    steps = np.asarray(values, dtype=float)[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted.tolist()


@dataclass(frozen=True)
class Needed:
    """What would show a difference, if it is as large as it was seen, in `POWER` of studies.

    Attributes:
        samples: None where as many as there are would do.
        runs: of each system; None where as many as there are would do.
    """

    samples: int | None
    runs: int | None


def needed(found: Difference, n: int, runs: int, comparisons: int) -> Needed | None:
    """For a two-sided test at 5% over `comparisons` (Connor 1987, doi:10.2307/2531961, with the variance of seeds
    added); None where no difference was seen.

    Args:
        runs: of each system.
    """
    if not found.value:
        return None
    squared, seeds = found.value**2, found.of_seeds or 0.0
    critical, power = norm.ppf(1 - (1 - LEVEL) / (2 * comparisons)), norm.ppf(POWER)
    effort = (critical * sqrt(found.of_one + squared) + power * sqrt(found.of_one)) ** 2  # n without seeds, by squared
    times = (critical + power) ** 2
    if times * seeds < squared:
        return Needed(ceil(effort / (squared - times * seeds)), None)
    if effort / n < squared:
        return Needed(None, ceil(runs * times * seeds / (squared - effort / n)))
    return Needed(ceil(2 * effort / squared), ceil(2 * runs * times * seeds / squared))  # half of the room for each

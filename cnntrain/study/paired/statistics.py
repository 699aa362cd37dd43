"""How sure a difference is between networks that answered to the same samples."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from scipy.stats import binom, binomtest, norm
from scipy.stats import t as student

from cnntrain.core.intervals import LEVEL, of_proportion

DRAWS = 10_000
SEED = 0  # so that the same answers have the same interval
POWER = 0.8
MOST = 10**7  # samples, or runs, that anybody has


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
class Spread:
    """What the variance of a mean over samples and runs is made of.

    Attributes:
        samples: what it owes to the samples.
        seeds: what each system's runs owe to their seeds, with the degrees of freedom; empty of single runs.
        shared: what is in both: runs of a system that disagree on single samples.
    """

    samples: float
    seeds: Sequence[tuple[float, int]] = ()
    shared: float = 0.0

    @property
    def of_seeds(self) -> float:
        """What seeds add to `samples`."""
        return max(sum(variance for variance, _ in self.seeds) - self.shared, 0.0)

    @property
    def error(self) -> float:
        """Standard error."""
        return sqrt(self.samples + self.of_seeds)

    def freedom(self, n: int) -> float:
        """Degrees of freedom (Satterthwaite 1946, doi:10.2307/3002019), n being the samples."""
        parts = [(self.samples, n - 1), *self.seeds]
        spent = sum(variance**2 / free for variance, free in parts)
        return max(self.error**4 / spent, min(free for _, free in parts))


@dataclass(frozen=True)
class Difference:
    """Between two systems: the first's accuracy less the second's.

    Attributes:
        interval: of `LEVEL`; of single runs by bootstrap, else by Student's t.
        p: two-sided, that there is none; McNemar's exact one of single runs, else of Student's t.
        of_one: variance of the difference of one sample.
    """

    value: float
    interval: list[float]
    p: float
    of_one: float
    spread: Spread


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
    values, counts = np.unique(np.append(gaps, [-1, 1]).round(9), return_counts=True)
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
    of_one = float(gaps.var())
    spread = _spread(np.append(gaps, [-1, 1]), (first, second))
    if len(first) == len(second) == 1:
        p = mcnemar(int((gaps > 0).sum()), int((gaps < 0).sum())).p
        return Difference(value, bootstrap(gaps), p, of_one, spread)
    p = 2 * float(student.sf(abs(value) / spread.error, spread.freedom(n)))
    return Difference(value, _around(value, spread, n), p, of_one, spread)


def accuracy(right: np.ndarray) -> list[float]:
    """Interval of `LEVEL` of a system's accuracy, from which samples are right in which run: bool [runs, n].

    Wilson's of one run; of several Student's t over samples and seeds, with two samples right and two wrong added
    (Agresti and Coull 1998, doi:10.2307/2685469), else no mistakes would look like certainty.
    """
    shares = right.mean(0)
    value, n = float(shares.mean()), len(shares)
    if len(right) == 1:
        return of_proportion(value, n)
    low, high = _around(value, _spread(np.append(shares, [0, 0, 1, 1]), (right,)), n)
    return [max(low, 0.0), min(high, 1.0)]


def _around(value: float, spread: Spread, n: int) -> list[float]:
    reach = float(student.ppf((1 + LEVEL) / 2, spread.freedom(n))) * spread.error
    return [value - reach, value + reach]


def _spread(of_samples: np.ndarray, systems: Sequence[np.ndarray]) -> Spread:
    """Of the mean of `of_samples`, which are made of the runs of the systems; one of a single run varies as others do.

    Args:
        systems: which samples are right, bool [runs, n] each.
    """
    samples = float(of_samples.var() / len(of_samples))
    several = [each for each in systems if len(each) > 1]
    if not several:
        return Spread(samples)
    seeds = [(float(each.mean(1).var(ddof=1)), len(each) - 1) for each in several]
    within = [float(each.var(axis=0, ddof=1).mean()) / each.shape[1] for each in several]
    if len(several) < len(systems):
        shares = sum(1 / len(each) for each in systems)
        (variance, free), (shared,) = seeds[0], within
        return Spread(samples, [(variance * shares, free)], shared * shares)
    counts = [len(each) for each in systems]
    parts = [(variance / count, free) for (variance, free), count in zip(seeds, counts, strict=True)]
    return Spread(samples, parts, sum(each / count for each, count in zip(within, counts, strict=True)))


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
        samples: with as many runs as there are, None where no number would do.
        runs: of each system, with as many samples as there are; None as above.
        together: whether it takes both numbers; else either of them does.
    """

    samples: int | None
    runs: int | None
    together: bool = False


def needed(found: Difference, n: int, runs: int, comparisons: int) -> Needed | None:
    """For a two-sided test at 5% over `comparisons`; None where it is more than `MOST`.

    Of single runs it is Connor's number for McNemar's test (1987, doi:10.2307/2531961), of several that of the t test.

    Args:
        runs: of each system.
    """
    level = 1 - (1 - LEVEL) / (2 * comparisons)
    if not found.value:
        return None
    if not found.spread.seeds:
        squared, critical, power = found.value**2, norm.ppf(level), norm.ppf(POWER)
        number = (critical * sqrt(found.of_one + squared) + power * sqrt(found.of_one)) ** 2 / squared
        return Needed(ceil(number), None) if number <= MOST else None

    def enough(samples: int, count: int) -> bool:
        seeds = [(variance * runs / count, count - 1) for variance, _ in found.spread.seeds]
        spread = Spread(found.of_one / samples, seeds, found.spread.shared * runs / count)
        free = spread.freedom(samples)
        return bool((student.ppf(level, free) + student.ppf(POWER, free)) * spread.error <= abs(found.value))

    more_samples = _least(n, lambda number: enough(number, runs))
    more_runs = _least(runs, lambda number: enough(n, number))
    if more_samples is not None or more_runs is not None:
        return Needed(more_samples, more_runs)
    more = _least(runs, lambda number: enough(n * number // runs, number))
    return None if more is None else Needed(n * more // runs, more, together=True)


def _least(start: int, does: Callable[[int], bool]) -> int | None:
    """The least number from `start` on that does, as all above it do; None where it is above `MOST`."""
    high = start
    while not does(high):
        high *= 2
        if high > MOST:
            return None
    return start + bisect_left(range(start, high), True, key=does)

"""How often intervals hold the truth, and how often McNemar's test errs, on simulated runs, whose accuracies are known.

usage: python scripts/coverage_intervals.py [--runs 2000]

Each simulated run is of two networks of accuracies from 60 to 95%, on samples drawn anew, hard or easy for both.
Printed are the coverage of the accuracy's interval (Wilson's) and of the difference's (bootstrap), the share of p
below 5% where there is no difference, and whether p is uniform then (Kolmogorov and Smirnov). The exact p of a count
takes few values and is rather too large, so for the latter it is drawn anew between its neighbours. Then the same of
systems of several runs, the seeds of which matter as much as is said, in points of accuracy.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy import stats

from cnntrain.core.intervals import of_proportion
from cnntrain.study.paired.statistics import accuracy, difference, mcnemar

NOISE = 0.7  # of one run on one sample, beside how hard the sample is
SLOPE = 0.25  # of accuracy by what is in front of the normal distribution, near 80%


def system(mean: float, luck: np.ndarray, hardness: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """Which samples are right: bool [runs, n]."""
    return mean + luck[:, None] + hardness + draws.normal(0, NOISE, (len(luck), len(hardness))) > 0


def truth(mean: float, seeds: float) -> float:
    return float(stats.norm.cdf(mean / np.sqrt(1 + NOISE**2 + seeds**2)))


def single(runs: int, n: int) -> str:
    """Coverages and errors of two networks of one run each on `n` samples."""
    draws, alone = np.random.default_rng([n, 1]), np.zeros(1)
    hits, ps, anew = np.zeros(2), [], []
    for _ in range(runs):
        means = stats.norm.ppf(draws.uniform(0.6, 0.95, 2)) * np.sqrt(1 + NOISE**2)
        hardness = draws.normal(size=n)
        first, second, same = (system(mean, alone, hardness, draws) for mean in (*means, means[0]))
        low, high = of_proportion(float(first.mean()), n)
        hits[0] += low <= truth(means[0], 0) <= high
        low, high = difference(first, second).interval
        hits[1] += low <= truth(means[0], 0) - truth(means[1], 0) <= high
        found = mcnemar(int((first & ~same).sum()), int((same & ~first).sum()))
        ps.append(found.p)
        anew.append(found.p - draws.random() * 2 * (found.p - found.mid_p))
    uniform = stats.kstest(anew, "uniform").pvalue
    return (
        f"n={n:6,}  accuracy {hits[0] / runs:.2%}  difference {hits[1] / runs:.2%}  "
        f"no difference: exact p below 5% {np.mean(np.array(ps) < 0.05):.2%}, randomised p uniform: KS p {uniform:.3f}"
    )


def several(runs: int, n: int, count: int, points: float) -> str:
    """Coverages and errors of two systems of `count` runs each, the seeds of which matter so many points."""
    draws, seeds = np.random.default_rng([n, count, round(10 * points)]), points / 100 / SLOPE
    hits = np.zeros(3)
    for _ in range(runs):
        mean, better = stats.norm.ppf([0.8, 0.83]) * np.sqrt(1 + NOISE**2 + seeds**2)
        hardness = draws.normal(size=n)
        first, second, same = (
            system(each, draws.normal(0, seeds, count), hardness, draws) for each in (better, mean, better)
        )
        low, high = difference(first, second).interval
        hits[0] += low <= truth(better, seeds) - truth(mean, seeds) <= high
        low, high = accuracy(first)
        hits[1] += low <= truth(better, seeds) <= high
        hits[2] += difference(first, same).p < 0.05
    accurate, right, wrong = hits[1] / runs, hits[0] / runs, hits[2] / runs
    return (
        f"n={n:6,}, {count} runs each, seeds {points:.1f} points  accuracy {accurate:.2%}  difference {right:.2%}  "
        f"no difference: p below 5% {wrong:.2%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    runs = parser.parse_args().runs
    for n in (180, 1000, 5000):
        print(single(runs, n), flush=True)
    for n, count, points in ((400, 3, 0.0), (400, 3, 1.5), (400, 5, 1.5), (2000, 3, 1.5), (400, 10, 4.0)):
        print(several(runs, n, count, points), flush=True)


if __name__ == "__main__":
    main()

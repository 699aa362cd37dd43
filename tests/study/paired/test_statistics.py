"""Tests and intervals against scipy, a slow bootstrap, hand-made examples, and simulated runs whose truth is known."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from scipy import stats

from cnntrain.study.paired import statistics
from cnntrain.study.paired.statistics import accuracy, bootstrap, difference, holm, mcnemar, needed, of_runs

SIMULATED = 80


def drawn(
    draws: np.random.Generator, means: tuple[float, float], runs: tuple[int, int], n: int, seeds: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Which samples two systems get right: samples are hard or easy for all runs, and seeds good or bad for all
    samples."""
    hardness = draws.normal(size=n)

    def system(mean: float, count: int) -> np.ndarray:
        luck = draws.normal(0, seeds, (count, 1))
        return mean + luck + hardness + draws.normal(0, 0.7, (count, n)) > 0

    return system(means[0], runs[0]), system(means[1], runs[1])


def truth(mean: float, seeds: float = 0.0) -> float:
    """The accuracy of a system over all samples and seeds."""
    return float(stats.norm.cdf(mean / np.sqrt(1 + 0.7**2 + seeds**2)))


@pytest.mark.parametrize(("one", "other"), [(0, 0), (1, 0), (0, 6), (5, 5), (3, 9), (40, 61)])
def test_mcnemar_counts_the_ways_in_which_flips_can_fall(one: int, other: int) -> None:
    flips = one + other
    ways = [comb(flips, k) for k in range(flips + 1)]
    as_far = [way for k, way in enumerate(ways) if abs(2 * k - flips) >= abs(one - other)]
    exactly = [way for k, way in enumerate(ways) if abs(2 * k - flips) == abs(one - other)]
    found = mcnemar(one, other)
    assert found.p == pytest.approx(sum(as_far) / 2**flips)
    if flips:
        assert found.mid_p == pytest.approx((sum(as_far) - sum(exactly) / 2) / 2**flips)


def test_under_the_null_p_is_uniform() -> None:
    """Of a count p takes few values: drawn anew between its neighbours it is uniform, and by itself never too small."""
    draws = np.random.default_rng(0)
    exact, anew = [], []
    for _ in range(250):
        first, second = drawn(draws, (1.0, 1.0), (1, 1), 300)
        found = mcnemar(int((first & ~second).sum()), int((second & ~first).sum()))
        exact.append(found.p)
        anew.append(found.p - draws.random() * 2 * (found.p - found.mid_p))
    assert stats.kstest(anew, "uniform").pvalue > 0.01
    assert np.mean(np.array(exact) < 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 250)


def test_the_bootstrap_is_that_of_samples_drawn_one_by_one() -> None:
    gaps = np.repeat([1, 0, -1, 0.5], [30, 130, 12, 8])
    padded = np.append(gaps, [-1, 1])
    draws = np.random.default_rng(1)
    means = padded[draws.integers(len(padded), size=(20_000, len(padded)))].mean(1)
    assert bootstrap(gaps) == pytest.approx(np.percentile(means, [2.5, 97.5]).tolist(), abs=0.004)
    assert bootstrap(gaps) == bootstrap(gaps[::-1])
    low, high = bootstrap(np.zeros(100))
    assert -0.04 < low < 0 < high < 0.04  # no flips are no certainty


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    draws, hits, several = np.random.default_rng(2), [0, 0], [0, 0]  # of differences, of accuracies
    for _ in range(SIMULATED):
        first, second = drawn(draws, (1.0, 0.8), (1, 1), 400)
        low, high = difference(first, second).interval
        hits[0] += low <= truth(1.0) - truth(0.8) <= high
        low, high = accuracy(first)
        hits[1] += low <= truth(1.0) <= high
        first, second = drawn(draws, (1.0, 0.8), (3, 3), 200, seeds=0.15)
        low, high = difference(first, second).interval
        several[0] += low <= truth(1.0, 0.15) - truth(0.8, 0.15) <= high
        low, high = accuracy(first)
        several[1] += low <= truth(1.0, 0.15) <= high
    assert all(0.9 <= each / SIMULATED <= 0.98 for each in hits), hits
    assert all(0.9 <= each / SIMULATED <= 1.0 for each in several), several


def test_what_seeds_matter_is_welchs() -> None:
    first, second = drawn(np.random.default_rng(3), (1.0, 0.7), (4, 3), 500, seeds=0.2)
    found = difference(first, second)
    welch = stats.ttest_ind(first.mean(1), second.mean(1), equal_var=False)
    assert sum(variance for variance, _ in found.spread.seeds) == pytest.approx((found.value / welch.statistic) ** 2)
    of_seeds = (found.value / welch.statistic) ** 2 - found.spread.shared
    assert found.spread.shared > 0 and found.spread.of_seeds == pytest.approx(of_seeds)
    alone = statistics.Spread(0.0, found.spread.seeds)
    assert alone.freedom(500) == pytest.approx(welch.df)
    assert found.p == pytest.approx(
        2 * stats.t.sf(found.value / found.spread.error, found.spread.freedom(500)), rel=1e-9
    )
    other = difference(second, first)
    assert (other.value, other.p) == pytest.approx((-found.value, found.p))
    borrowed = difference(first[:1], second)  # whose one run varies as those of the other do
    pooled = second.mean(1).var(ddof=1) * (1 + 1 / 3)
    assert list(borrowed.spread.seeds) == [(pytest.approx(pooled), 2)]


def test_what_runs_share_is_counted_once() -> None:
    """Where seeds do nothing but answer anew, the variance is that of all answers."""
    draws = np.random.default_rng(4)
    spreads = []
    for _ in range(100):
        first, second = (draws.random((3, 300)) < 0.8 for _ in range(2))
        spreads.append(difference(first, second).spread)
    alone = 2 * 0.8 * 0.2 / (3 * 300)
    raw = np.mean([each.samples + sum(v for v, _ in each.seeds) - each.shared for each in spreads])
    assert raw == pytest.approx(alone, rel=0.15)


def test_holm_and_student() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == [] and holm([0.2]) == [0.2]
    values = [0.71, 0.66, 0.69]
    assert of_runs(values) == pytest.approx([*stats.ttest_1samp(values, 0).confidence_interval()])
    assert of_runs([0.7]) is None


def test_so_many_samples_show_a_difference_as_often_as_is_said() -> None:
    draws = np.random.default_rng(5)
    flips = np.array([0.12, 0.08])  # right for the first alone, for the second alone
    gaps = np.repeat([1, -1, 0], [12, 8, 80])
    first, second = gaps[None] > 0, gaps[None] < 0
    found = needed(difference(first, second), 100, 1, 1)
    assert found is not None and found.runs is None
    counts = draws.multinomial(found.samples, [*flips, 0.8], size=300)[:, :2]
    power = np.mean([mcnemar(*each).p < 0.05 for each in counts.tolist()])
    assert 0.73 <= power <= 0.87
    more = needed(difference(first, second), 100, 1, 10)
    assert more is not None and more.samples > found.samples
    assert needed(difference(first, first), 100, 1, 1) is None


def test_so_many_runs_show_a_difference_as_often_as_is_said() -> None:
    draws, n = np.random.default_rng(6), 4000
    spread = statistics.Spread(0.1 / n, [(0.015**2 / 3, 2), (0.015**2 / 3, 2)])
    found = needed(statistics.Difference(0.02, [0, 0], 1, 0.1, spread), n, 3, 1)
    assert found is not None and found.samples is None and found.runs is not None and found.runs > 3
    hits = 0
    for _ in range(600):
        shift = 0.02 + draws.normal(0, np.sqrt(0.1 / n))
        one, other = draws.normal(shift, 0.015, found.runs), draws.normal(0, 0.015, found.runs)
        parts = [(each.var(ddof=1) / found.runs, found.runs - 1) for each in (one, other)]
        drawn_spread = statistics.Spread(0.1 / n, parts)
        reach = stats.t.ppf(0.975, drawn_spread.freedom(n)) * drawn_spread.error
        hits += abs(one.mean() - other.mean()) > reach
    assert 0.74 <= hits / 600 <= 0.88
    fewer = statistics.Difference(0.008, [0, 0], 1, 0.1, spread)
    both = needed(fewer, n, 3, 1)
    assert both is not None and both.together and both.samples > n and both.runs > 3
    one_more = statistics.Difference(0.03, [0, 0], 1, 0.1, statistics.Spread(0.1 / n, [(1e-9, 2), (1e-9, 2)]))
    assert needed(one_more, 100, 3, 1).samples > 100

"""What is said of two systems, by numbers made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnntrain.study.paired.systems import System
from cnntrain.study.paired.verdicts import rounded, verdicts


def system(name: str, *rows: Any) -> System:
    return System(name, [None] * len(rows), np.array(rows, dtype=bool), [])  # type: ignore[list-item]


def first_right(count: int, n: int) -> np.ndarray:
    return np.arange(n) < count


def test_better_equivalent_and_not_resolved() -> None:
    good, poor = system("a", first_right(900, 1000)), system("b", first_right(860, 1000))
    (found,) = verdicts([good, poor], None)
    assert found.kind == "better" and found.answer.startswith("a is better by 4.0 points [2.")
    assert list(map(len, found.flips)) == [40, 0] and found.flips[0][0] == 860
    assert found.mcnemar is not None and found.mcnemar.p == found.p < 1e-9
    near = system("c", first_right(899, 1000))
    (found,) = verdicts([good, near], 0.01)
    half = 1.96 * np.sqrt(3 / 1002**2)  # Bonett and Price: 2 flips one way and 1 the other, of 1,002
    assert found.found.interval == pytest.approx([0.001 - half, 0.001 + half], abs=0.001)
    low, high = found.found.interval
    assert found.answer == f"equivalent within 1 point [{100 * low:.2f}, {100 * high:.2f}]"
    (found,) = verdicts([good, near], 0.002)
    assert found.found.value < 0.002 < high and found.kind == "not resolved"
    (found,) = verdicts([good, near], None)
    assert found.kind == "not resolved" and "not resolved with n=1,000: about 7,900 samples" in found.answer
    (found,) = verdicts([good, poor], 0.08)
    assert found.answer.endswith("which is within 8 points")
    (found,) = verdicts([good, system("d", first_right(900, 1000))], None)
    assert found.answer == "not resolved with n=1,000: no difference was seen"


def test_many_comparisons_are_held_against_each_other() -> None:
    n = 300
    one = system("a", first_right(200, n))
    other = system("b", first_right(193, n))
    (alone,) = verdicts([one, other], None)
    assert alone.p == pytest.approx(2 / 2**7) and alone.kind == "better"
    among = verdicts([one, *(system(name, first_right(200, n)) for name in "cdef"), other], None)
    last = next(each for each in among if (each.first.name, each.second.name) == ("a", "b"))
    assert len(among) == 15 and last.found.p == alone.p and last.p > 0.05 and last.kind == "not resolved"


def test_of_several_runs_seeds_count_and_most_of_them_say_what_flips() -> None:
    draws = np.random.default_rng(0)
    good = system("a", *(draws.random((3, 2000)) < 0.9))
    poor = system("b", *(draws.random((3, 2000)) < 0.8))
    (found,) = verdicts([good, poor], None)
    assert found.mcnemar is None and found.kind == "better"
    expected = (good.right.sum(0) >= 2) & (poor.right.sum(0) <= 1)
    assert np.array_equal(found.flips[0], np.flatnonzero(expected))
    lucky = system("c", first_right(1800, 2000), first_right(1000, 2000))
    (found,) = verdicts([lucky, system("d", first_right(1300, 2000), first_right(1400, 2000))], None)
    assert "not resolved with n=2,000 and 2 runs each: about " in found.answer and "runs each would" in found.answer
    facts = found.facts([str(number) for number in range(2000)])
    assert facts["mcnemar"] is None and facts["interval"] != facts["interval_of_samples"]
    assert facts["needed"]["runs"] > 2


def test_numbers_are_rounded_up() -> None:
    assert [rounded(each) for each in (1, 9, 10, 11, 99, 101, 2051, 2100)] == [1, 9, 10, 11, 99, 110, 2100, 2100]

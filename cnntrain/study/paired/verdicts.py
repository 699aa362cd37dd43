"""What is said of two systems, in numbers and in words: which is better, that they are alike, or what it would take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import ceil, floor, log10
from typing import Any

import numpy as np

from cnntrain.core.intervals import LEVEL
from cnntrain.study.paired import statistics
from cnntrain.study.paired.statistics import Difference, McNemar
from cnntrain.study.paired.systems import System

BETTER, EQUIVALENT, OPEN = "better", "equivalent", "not resolved"


@dataclass(frozen=True)
class Verdict:
    """Of two systems, the first of which is at least as accurate.

    Attributes:
        p: Holm's, over all comparisons that were made.
        flips: positions of the samples that are right for the first alone, and for the second alone; of several runs,
            for most of them.
        margin: accuracies as near as that are as good; a fraction. None: it was not asked for.
        comparisons: how many were made.
    """

    first: System
    second: System
    found: Difference
    p: float
    flips: tuple[np.ndarray, np.ndarray]
    margin: float | None
    comparisons: int

    @property
    def is_single(self) -> bool:
        return len(self.first.runs) == len(self.second.runs) == 1

    @property
    def mcnemar(self) -> McNemar | None:
        """Of single runs."""
        return statistics.mcnemar(*map(len, self.flips)) if self.is_single else None

    @property
    def kind(self) -> str:
        low, high = self.found.interval
        if self.p <= 1 - LEVEL and not low <= 0 <= high:
            return BETTER
        return EQUIVALENT if self._is_within() else OPEN

    def _is_within(self) -> bool:
        return self.margin is not None and max(map(abs, self.found.interval)) <= self.margin

    @property
    def answer(self) -> str:
        """In words."""
        sure = interval(self.found)
        if self.kind == BETTER:
            within = f", which is within {_points(self.margin)}" if self.margin and self._is_within() else ""
            return f"{self.first.name} is better by {points(self.found)} points {sure}{within}"
        if self.kind == EQUIVALENT and self.margin is not None:
            return f"equivalent within {_points(self.margin)} {sure}"
        return f"not resolved with {self._size()}: {self._needed()}"

    def _size(self) -> str:
        n = f"n={self.first.right.shape[1]:,}"
        runs = sorted({len(self.first.runs), len(self.second.runs)})
        return n if self.is_single else f"{n} and {' or '.join(map(str, runs))} runs each"

    def needed(self) -> statistics.Needed | None:
        runs = max(len(self.first.runs), len(self.second.runs))
        return statistics.needed(self.found, self.first.right.shape[1], runs, self.comparisons)

    def _needed(self) -> str:
        needed = self.needed()
        if needed is None:
            return "the difference seen is next to none" if self.found.value else "no difference was seen"
        found = [(needed.samples, "samples"), (needed.runs, "runs each")]
        words = [f"{rounded(number):,} {what}" for number, what in found if number is not None]
        return f"about {(' and ' if needed.together else ' or ').join(words)} would be needed"

    def facts(self, ids: Sequence[str]) -> dict[str, Any]:
        """All of it, as plain values."""
        exact, needed = self.mcnemar, self.needed()
        flips = [[ids[each] for each in way] for way in self.flips]
        return {
            "first": self.first.name,
            "second": self.second.name,
            "verdict": self.kind,
            "answer": self.answer,
            "difference": self.found.value,
            "interval": self.found.interval,
            "interval_of_samples": statistics.bootstrap(self.first.right.mean(0) - self.second.right.mean(0)),
            "p": self.found.p,
            "p_holm": self.p,
            "mcnemar": None if exact is None else {"p": exact.p, "mid_p": exact.mid_p},
            "margin": self.margin,
            "needed": None if needed is None else asdict(needed),
            "right_to_wrong": flips[0],
            "wrong_to_right": flips[1],
        }


def verdicts(systems: Sequence[System], margin: float | None) -> list[Verdict]:
    """Of every two systems.

    Args:
        systems: the most accurate first.
        margin: see `Verdict`.
    """
    pairs = list(combinations(systems, 2))
    found = [statistics.difference(first.right, second.right) for first, second in pairs]
    adjusted = statistics.holm([each.p for each in found])
    return [
        Verdict(first, second, each, p, _flips(first, second), margin, len(pairs))
        for (first, second), each, p in zip(pairs, found, adjusted, strict=True)
    ]


def _flips(first: System, second: System) -> tuple[np.ndarray, np.ndarray]:
    """A sample that half of a system's runs get right is neither right nor wrong for it."""
    one, other = first.right.mean(0), second.right.mean(0)
    return np.flatnonzero((one > 0.5) & (other < 0.5)), np.flatnonzero((one < 0.5) & (other > 0.5))


def points(found: Difference) -> str:
    """The difference in points of accuracy."""
    return f"{100 * found.value:.{_digits(found)}f}"


def interval(found: Difference) -> str:
    low, high = (f"{100 * each:.{_digits(found)}f}" for each in found.interval)
    return f"[{low}, {high}]"


def _digits(found: Difference) -> int:
    """As many as mean something: intervals of less than a point are told to its hundredth."""
    return 1 if found.interval[1] - found.interval[0] >= 0.01 else 2


def _points(margin: float) -> str:
    return f"{100 * margin:g} point{'' if margin == 0.01 else 's'}"


def rounded(number: int) -> int:
    """Up, to two digits that count."""
    unit = 10 ** max(floor(log10(number)) - 1, 0)
    return ceil(number / unit) * unit

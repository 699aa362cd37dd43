"""Answers to samples as a whole: confusion, classes, calibration, mistakes; all from the predictions of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from cnntrain.core.intervals import of_proportion
from cnntrain.runs.predictions import Predictions
from cnntrain.study.evaluation.measures import calibration
from cnntrain.study.page import charts
from cnntrain.study.page.charts import Chart

WIDEST = 30  # classes of which the confusion matrix is drawn; of more the pairs that occur most often
PAIRS = 100
ROWS = 1000  # of classes, those that are found least
GALLERY = 24
LISTED = 12  # images of a cell that are named
NAMED = 2000  # images of all cells that are named, about
AT_ONCE = 2**16  # logits, which stay in the processor's cache
ENOUGH = 4_000_000  # logits that calibration is computed of, at most
PICTURED = 6  # images of a cell that are shown


class Answers:
    """The answers to samples with one label each.

    Attributes:
        counts: of each cell of the confusion matrix that has samples, label and answer, how many.
    """

    def __init__(self, found: Predictions):
        self.found = found
        self.labels, self.guesses = found.labels, found.logits.argmax(1)
        self.confidence = _confidence(found.logits)
        pairs, counts = np.unique(self.labels * len(found.classes) + self.guesses, return_counts=True)
        places = zip(*np.divmod(pairs, len(found.classes)), strict=True)  # the whole matrix may be of 10,000 classes
        self.counts = {(int(a), int(b)): int(n) for (a, b), n in zip(places, counts, strict=True)}
        self.support = np.bincount(self.labels, minlength=len(found.classes))

    @property
    def is_drawn(self) -> bool:
        """Whether the whole matrix is."""
        return len(self.found.classes) <= WIDEST

    @cached_property
    def cells(self) -> list[tuple[int, int]]:
        """The cells of which images are at hand: the mistakes that occur most often first; of a whole matrix all, and
        the right answers after the mistakes."""
        ranked = sorted(self.counts, key=lambda each: (each[0] == each[1], -self.counts[each], each))
        return ranked if self.is_drawn else [each for each in ranked if each[0] != each[1]][:PAIRS]

    @cached_property
    def by_cell(self) -> dict[tuple[int, int], list[int]]:
        """Of each cell the samples that are named: the surest mistakes first, of right answers the least sure."""
        cells, found, places = self.cells, {}, self.labels * len(self.found.classes) + self.guesses
        most = min(LISTED, max(NAMED // max(len(cells), 1), 1))
        for label, answer in cells:
            members = np.flatnonzero(places == label * len(self.found.classes) + answer)
            sure = self.confidence[members]
            order = np.argsort(sure if label == answer else -sure, kind="stable")
            found[label, answer] = members[order][:most].tolist()
        return found

    def gallery(self) -> list[int]:
        """The surest mistakes."""
        wrong = np.flatnonzero(self.labels != self.guesses)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")][:GALLERY].tolist()

    def pictured(self) -> Iterator[int]:
        """Positions of the samples to be shown, the most worth first: the first of each cell, the second, ..."""
        cells = self.by_cell.values()
        for number in range(PICTURED):
            yield from (members[number] for members in cells if len(members) > number)

    def matrix(self) -> list[dict[str, Any]]:
        """A row a class: its number, and of each cell the count and the share of the class's samples."""
        numbers = range(len(self.found.classes))
        return [
            {
                "label": label,
                "cells": [(n := self.counts.get((label, each), 0), self._share(label, n)) for each in numbers],
            }
            for label in numbers
        ]

    def pairs(self) -> list[dict[str, Any]]:
        """The mistakes that occur most often."""
        wrong = (each for each in self.cells if each[0] != each[1])
        return [
            {"label": a, "answer": b, "count": self.counts[a, b], "share": self._share(a, self.counts[a, b])}
            for a, b in islice(wrong, PAIRS)
        ]

    def _share(self, label: int, count: int) -> float:
        return count / max(int(self.support[label]), 1)

    def classes(self) -> list[dict[str, Any]]:
        """Of each class its figures; of very many those that are found least."""
        names = self.found.classes
        right = np.bincount(self.labels[self.labels == self.guesses], minlength=len(names))
        return figures(names, right, self.support, np.bincount(self.guesses, minlength=len(names)))

    def calibrated(self, temperature: float | None) -> tuple[list[dict[str, Any]], Chart]:
        """Figures before and after the temperature, and the curves."""
        found = _thinned(self.found)
        rows = [{"name": "as they are", "n": len(found), **calibration(found)}]
        if temperature is not None:
            name = f"at temperature {temperature:.3g}, of val"
            rows.append({"name": name, "n": len(found), **calibration(found, temperature)})
        return rows, charts.reliability("calibration", [(each["name"], each["reliability"]) for each in rows])


def _confidence(logits: np.ndarray) -> np.ndarray:
    """The probability [n] of the likeliest class, some rows at a time: all of them as float64 take seconds where there
    are many classes."""
    found = np.empty(len(logits))
    rows = max(1, AT_ONCE // logits.shape[1])
    for start in range(0, len(logits), rows):
        some = logits[start : start + rows]
        below = some - some.max(1, keepdims=True)
        found[start : start + rows] = 1 / np.exp(below, out=below).sum(1)
    return found


def _thinned(found: Predictions) -> Predictions:
    """Every so many-th sample, so that `ENOUGH` logits are left."""
    step = -(-found.logits.size // ENOUGH)
    if step < 2:
        return found
    kept = slice(None, None, step)
    rows = {key: getattr(found, key)[kept] for key in ("ids", "labels", "logits", "losses")}
    return replace(found, **rows)


def figures(names: Sequence[str], right: np.ndarray, support: np.ndarray, given: np.ndarray) -> list[dict[str, Any]]:
    """Precision, recall with its interval, and F1 of classes, the `ROWS` of the least recall where there are more;
    None of what is not defined.

    Args:
        right, support, given: of each class how many samples have it as label and answer, as label, as answer.
    """
    recall = right / np.maximum(support, 1)
    kept = np.sort(np.argsort(np.where(support > 0, recall, 2.0), kind="stable")[:ROWS])
    intervals: dict[tuple[int, int], list[float]] = {}  # many classes have the same counts
    rows = []
    for each in kept.tolist():
        counts = int(right[each]), int(support[each])
        if support[each] and counts not in intervals:
            intervals[counts] = of_proportion(float(recall[each]), counts[1])
        rows.append(
            {
                "name": names[each],
                "support": counts[1],
                "recall": float(recall[each]) if support[each] else None,
                "interval": intervals.get(counts),
                "precision": float(right[each] / given[each]) if given[each] else None,
                "f1": float(2 * right[each] / (support[each] + given[each])) if support[each] + given[each] else None,
            }
        )
    return rows


class SeveralAnswers:
    """The answers to samples with any number of labels each, which are given where their logit is above 0."""

    def __init__(self, found: Predictions):
        self.found = found
        self.given = found.logits > 0

    def gallery(self) -> list[int]:
        """Of the samples with a wrong answer those of the greatest loss."""
        wrong = np.flatnonzero((self.given != self.found.labels).any(1))
        return wrong[np.argsort(-self.found.losses[wrong], kind="stable")][:GALLERY].tolist()

    def classes(self) -> list[dict[str, Any]]:
        right = (self.given & self.found.labels).sum(0)
        return figures(self.found.classes, right, self.found.labels.sum(0), self.given.sum(0))

    def words(self, position: int) -> tuple[str, str]:
        """The labels of a sample and the answers to it."""
        rows = self.found.labels[position], self.given[position]
        first, second = (
            ", ".join(self.found.classes[each] for each in np.flatnonzero(row).tolist()) or "none" for row in rows
        )
        return first, second

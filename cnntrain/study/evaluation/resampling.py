"""Intervals by bootstrap (Efron 1979): the samples are drawn anew with replacement, and each figure computed again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnntrain.core.bootstrap import DRAWS, ENDS, SEED
from cnntrain.tasks.classify.calibration import BINS

Figures = Callable[[np.ndarray], dict[str, float]]


def intervals(labels: np.ndarray, found: np.ndarray, losses: np.ndarray, draws: int = DRAWS) -> dict[str, list[float]]:
    """Low and high end of the percentile interval of `LEVEL` of each figure that counts samples.

    Args:
        labels: int64 [n].
        found: probabilities [n, classes].
        losses: cross-entropies [n].
    """
    figures = _figures(labels, found, losses)
    generator = np.random.default_rng(SEED)
    n = len(labels)
    rows = [figures(np.bincount(generator.integers(n, size=n), minlength=n).astype(float)) for _ in range(draws)]
    return {name: np.percentile([row[name] for row in rows], ENDS).tolist() for name in rows[0]}


def _figures(labels: np.ndarray, found: np.ndarray, losses: np.ndarray) -> Figures:
    """Figures as functions of how often each sample counts."""
    guesses, confidence, (n, classes) = found.argmax(1), found.max(1), found.shape
    right = (guesses == labels).astype(float)
    of_label = found[np.arange(n), labels]
    squares = np.square(found).sum(1) - 2 * of_label + 1
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gap = right - confidence

    def figures(times: np.ndarray) -> dict[str, float]:
        hits = np.bincount(labels, times * right, classes)
        support, answers = np.bincount(labels, times, classes), np.bincount(guesses, times, classes)
        return {
            **from_counts(hits, support, answers),
            "nll": float(times @ losses / n),
            "brier": float(times @ squares / n),
            "ece": float(np.abs(np.bincount(bins, times * gap, BINS)).sum() / n),
        }

    return figures


def from_counts(hits: np.ndarray, support: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    """Scores of samples that are counted by class.

    Args:
        hits: [classes], samples that got the right answer.
        support: [classes], samples.
        answers: [classes], samples that got this answer.
    """
    n, seen, named = support.sum(), support > 0, (support > 0) | (answers > 0)
    f1 = 2 * hits / np.maximum(support + answers, 1e-12)
    chance = float(support @ answers) / n**2
    spread = (1 - float(support @ support) / n**2) * (1 - float(answers @ answers) / n**2)
    agreement = float(hits.sum()) / n
    return {
        "balanced_accuracy": float((hits[seen] / support[seen]).mean()),
        "macro_f1": float(f1[named].mean()),
        "weighted_f1": float(f1 @ support / n),
        "mcc": (agreement - chance) / spread**0.5 if spread > 0 else 0.0,
        "kappa": (agreement - chance) / (1 - chance) if chance < 1 else 1.0,
    }

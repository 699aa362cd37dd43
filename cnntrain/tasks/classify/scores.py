"""What is not a sum over samples: metrics of the labels and the probabilities of all of them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnntrain.tasks.classify.calibration import brier, expected_error


def scores(names: Sequence[str], labels: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Those of these names (see `OF_ALL`), by scikit-learn; nan where one is not defined, as the ROC AUC of one class.

    Averages are over the classes that the labels or the answers have; the areas are of each class against the others,
    averaged over classes.

    Args:
        labels: int64 [n].
        found: probabilities [n, classes].
    """
    makers = _makers(labels, found)
    return {name: float(makers[name]()) if len(labels) else float("nan") for name in names}


def _makers(labels: np.ndarray, found: np.ndarray) -> Mapping[str, Callable[[], Any]]:
    from sklearn import metrics

    guesses = found.argmax(1)

    def of_classes(make: Callable[..., Any], average: str) -> Callable[[], Any]:
        return lambda: make(labels, guesses, average=average, zero_division=0)

    def of_several(make: Callable[..., Any]) -> Callable[[], Any]:
        """Not defined where all samples are of one class, and all answers too."""
        several = len(np.unique(np.concatenate([labels, guesses]))) > 1
        return lambda: make(labels, guesses) if several else float("nan")

    return {
        # as scikit-learn's of the same name, which warns of guessed classes that no label has
        "balanced_accuracy": lambda: metrics.recall_score(
            labels, guesses, labels=np.unique(labels), average="macro", zero_division=0
        ),
        "macro_precision": of_classes(metrics.precision_score, "macro"),
        "macro_recall": of_classes(metrics.recall_score, "macro"),
        "macro_f1": of_classes(metrics.f1_score, "macro"),
        "weighted_f1": of_classes(metrics.f1_score, "weighted"),
        "mcc": of_several(metrics.matthews_corrcoef),
        "kappa": of_several(metrics.cohen_kappa_score),
        "roc_auc": lambda: _mean_area(metrics.roc_auc_score, labels, found),
        "pr_auc": lambda: _mean_area(metrics.average_precision_score, labels, found),
        "ece": lambda: expected_error(found.max(1), guesses == labels),
        "brier": lambda: brier(found, labels),
    }


def _mean_area(area: Callable[..., Any], labels: np.ndarray, found: np.ndarray) -> float:
    """Of each class that some samples have and some have not, against all others; of probabilities that are no
    numbers none."""
    present = [each for each in range(found.shape[1]) if 0 < int((labels == each).sum()) < len(labels)]
    if not present or not np.isfinite(found).all():
        return float("nan")
    return float(np.mean([area(labels == each, found[:, each]) for each in present]))


def per_class(labels: np.ndarray, guesses: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Of each class its ``name``, ``precision``, ``recall``, ``f1`` and ``support``; a class that is never guessed has
    a precision of 0."""
    from sklearn.metrics import precision_recall_fscore_support

    rows = precision_recall_fscore_support(labels, guesses, labels=range(len(classes)), zero_division=0)
    return [
        {"name": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for name, p, r, f, s in zip(classes, *rows, strict=True)
    ]


def averages(labels: np.ndarray, guesses: np.ndarray) -> dict[str, dict[str, float]]:
    """Precision, recall and F1 averaged over classes (``macro``), over samples (``micro``), and over classes by their
    support (``weighted``)."""
    from sklearn.metrics import precision_recall_fscore_support

    def of(average: str) -> dict[str, float]:
        found = precision_recall_fscore_support(labels, guesses, average=average, zero_division=0)
        return dict(zip(("precision", "recall", "f1"), map(float, found[:3]), strict=True))

    return {each: of(each) for each in ("macro", "micro", "weighted")}

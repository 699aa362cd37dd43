"""Every figure of an evaluation, from the predictions alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntrain.core.errors import InputError
from cnntrain.core.intervals import of_proportion
from cnntrain.runs.predictions import Predictions
from cnntrain.study.evaluation import resampling
from cnntrain.tasks.classify.calibration import brier, expected_error, log_loss, probabilities, reliability
from cnntrain.tasks.classify.scores import averages, per_class, scores

OVERALL = ("balanced_accuracy", "macro_f1", "weighted_f1", "mcc", "kappa", "roc_auc", "pr_auc")
CONFUSED = 10  # pairs of classes that are named
WIDEST = 100  # classes of which the confusion matrix is written out; of more the pairs that occur


def measures(predictions: Predictions, temperature: float | None) -> dict[str, Any]:
    """What ``eval.json`` holds of samples with one label each, all as plain values.

    Args:
        temperature: fitted on other samples than these; None: there is none.

    Returns:
        ``top1`` with ``n``; ``baselines``: the most frequent label, and guesses at random; ``scores`` (see `OVERALL`);
        ``averages``; ``per_class`` with the interval of each recall; ``confusion``: rows are labels, columns answers;
        ``most_confused``; ``calibration`` ``before`` and ``after`` the temperature; ``intervals`` of 95%: Wilson's of
        shares, by bootstrap of all others but the areas.

    Raises:
        InputError: some answers are no numbers.
    """
    labels, classes = predictions.labels, list(predictions.classes)
    refuse_nan(predictions)
    found, losses = probabilities(predictions.logits), log_loss(predictions.logits, labels)
    guesses = predictions.logits.argmax(1)
    right = int((guesses == labels).sum())
    rows = per_class(labels, guesses, classes)
    for row in rows:
        if row["support"]:
            row["interval"] = of_proportion(row["recall"], row["support"])
    return {
        "top1": right / len(labels),
        "n": len(labels),
        "baselines": _baselines(labels, len(classes)),
        "scores": scores(OVERALL, labels, found),
        "averages": averages(labels, guesses),
        "per_class": rows,
        "confusion": confusion(labels, guesses, len(classes)).tolist() if len(classes) <= WIDEST else None,
        "most_confused": most_confused(labels, guesses, classes),
        "calibration": {
            "temperature": temperature,
            "before": calibration(predictions),
            "after": None if temperature is None else calibration(predictions, temperature),
        },
        "intervals": {
            "top1": of_proportion(right / len(labels), len(labels)),
            **resampling.intervals(labels, found, losses),
        },
    }


def _baselines(labels: np.ndarray, classes: int) -> dict[str, float]:
    """Accuracies of answers that look at no image: the most frequent label always, or any class as likely."""
    return {"majority": float(np.bincount(labels).max() / len(labels)), "random": 1 / classes}


def refuse_nan(predictions: Predictions) -> None:
    """Raises InputError where some answers are no finite numbers."""
    wrong = np.flatnonzero(~np.isfinite(predictions.logits).all(1))
    if len(wrong):
        raise InputError(
            f"{predictions.about['checkpoint']}: to {len(wrong):,} of {len(predictions.labels):,} images, such as "
            f"{predictions.ids[wrong[0]]}, its answers are no finite numbers: its training diverged; evaluate another "
            "checkpoint, or train with a lower optim.lr"
        )


def calibration(predictions: Predictions, temperature: float = 1.0) -> dict[str, Any]:
    """Errors of the probabilities at a temperature, and the reliability curve."""
    labels, found = predictions.labels, probabilities(predictions.logits, temperature)
    right = found.argmax(1) == labels
    return {
        "ece": expected_error(found.max(1), right),
        "nll": float(log_loss(predictions.logits, labels, temperature).mean()),
        "brier": brier(found, labels),
        "confidence": float(found.max(1).mean()),
        "reliability": reliability(found.max(1), right),
    }


def confusion(labels: np.ndarray, guesses: np.ndarray, classes: int) -> np.ndarray:
    """int64 [classes, classes]: how many samples of each class (row) got each answer (column)."""
    return np.bincount(labels * classes + guesses, minlength=classes**2).reshape(classes, classes)


def most_confused(labels: np.ndarray, guesses: np.ndarray, classes: list[str]) -> list[dict[str, Any]]:
    """The pairs of a class and a wrong answer that occur most often: ``label``, ``answer``, ``count``, and the
    ``share`` of the class's samples."""
    wrong = labels != guesses
    pairs, counts = np.unique(labels[wrong] * len(classes) + guesses[wrong], return_counts=True)
    order = np.lexsort([pairs, -counts])[:CONFUSED]
    support = np.bincount(labels, minlength=len(classes))
    return [
        {
            "label": classes[label := int(pairs[each]) // len(classes)],
            "answer": classes[int(pairs[each]) % len(classes)],
            "count": int(counts[each]),
            "share": float(counts[each] / support[label]),
        }
        for each in order
    ]

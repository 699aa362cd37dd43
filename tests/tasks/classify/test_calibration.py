"""Calibration against torchmetrics, scikit-learn and a temperature that is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from cnntrain.tasks.classify.calibration import BINS, brier, expected_error, probabilities, reliability, temperature


def drawn(count: int, classes: int, heat: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels that are drawn from their softmax at a temperature."""
    draws = np.random.default_rng(seed)
    logits = draws.normal(size=(count, classes)) * 3
    labels = np.array([draws.choice(classes, p=row) for row in probabilities(logits, heat)])
    return logits.astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_expected_error_is_that_of_torchmetrics(classes: int) -> None:
    logits, labels = drawn(500, classes, 2.0)
    found = probabilities(logits)
    theirs = multiclass_calibration_error(torch.from_numpy(found), torch.from_numpy(labels), classes, BINS, norm="l1")
    assert expected_error(found.max(1), found.argmax(1) == labels) == pytest.approx(
        float(theirs), abs=1e-6
    )  # theirs is in float32


def test_bins_hold_all_samples_and_sure_ones_too() -> None:
    found = reliability(np.array([0.0, 1.0, 1.0, 0.5]), np.array([False, True, False, True]))
    assert found["count"] == [1, 1, 2]
    assert found["accuracy"] == [0.0, 1.0, 0.5]
    assert found["confidence"] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("classes", [2, 10])
def test_the_brier_score_is_that_of_scikit_learn(classes: int) -> None:
    logits, labels = drawn(200, classes)
    found = probabilities(logits)
    theirs = sum(brier_score_loss(labels == each, found[:, each]) for each in range(classes))
    assert brier(found, labels) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.5])
def test_the_temperature_of_labels_drawn_at_one_is_found(heat: float) -> None:
    logits, labels = drawn(20_000, 4, heat)
    found = temperature(logits, labels)
    assert found == pytest.approx(heat, rel=0.05)
    losses = [
        -np.log(probabilities(logits, each)[np.arange(len(labels)), labels]).mean()
        for each in (0.98 * found, found, 1.02 * found)
    ]
    assert losses[1] == min(losses)


def test_no_temperature_suits_what_is_always_right_or_always_wrong() -> None:
    logits = np.eye(3, dtype=np.float32)
    assert temperature(logits, np.arange(3)) is None
    assert temperature(logits, (np.arange(3) + 1) % 3) is None
    assert temperature(logits[:0], np.arange(0)) is None
    assert temperature(np.full((3, 3), np.nan, np.float32), np.arange(3)) is None

"""Metrics of several labels against scikit-learn, and the mean average precision against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, hamming_loss

from cnntrain.core import dist
from cnntrain.tasks.base import Metrics
from cnntrain.tasks.multilabel import Multilabel
from cnntrain.tasks.multilabel.metrics import Judged, Totals, mean_average_precision

CPU = torch.device("cpu")
TASK = Multilabel("multilabel", "bce", None, None)


def drawn(count: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=generator, dtype=torch.float64).round(decimals=1)  # some are equal
    return logits, torch.rand(count, classes, generator=generator) < torch.linspace(0, 0.8, classes)


def judged(logits: torch.Tensor, targets: torch.Tensor, cuts: list[int]) -> Metrics:
    objective = TASK.start(0.0, 0.0)
    totals = objective.judged(CPU)
    for x, y in zip(np.split(logits.numpy(), cuts), np.split(targets.numpy(), cuts), strict=True):
        if len(y):
            totals.add(*objective.plain_loss(torch.from_numpy(x), torch.from_numpy(y)), torch.from_numpy(y))
    return totals.metrics()


def average_precision(there: np.ndarray, scores: np.ndarray) -> float:
    """The precision at each threshold, weighed by how much more is found with it."""
    found = [(there & (scores >= each)).sum() for each in sorted(set(scores), reverse=True)]
    given = [(scores >= each).sum() for each in sorted(set(scores), reverse=True)]
    steps = np.diff([0, *found]) / there.sum()
    return float(sum(step * n / all_ for step, n, all_ in zip(steps, found, given, strict=True)))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 7),
    st.integers(1, 40),
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 40), max_size=3).map(sorted),
)
def test_metrics_are_scikit_learns(classes: int, count: int, seed: int, cuts: list[int]) -> None:
    logits, targets = drawn(count, classes, seed)
    found = judged(logits, targets, cuts)
    there, answers = targets.numpy(), (logits > 0).numpy()
    assert found["count"] == count
    for average in ("macro", "micro"):
        shape = (there[:, 0], answers[:, 0]) if classes == 1 else (there, answers)
        expected = f1_score(*shape, average="binary" if classes == 1 else average, zero_division=0)
        assert found[f"{average}_f1"] == pytest.approx(expected, abs=1e-12)
    assert found["subset_accuracy"] == pytest.approx((there == answers).all(1).mean(), abs=1e-12)
    if classes > 1:
        assert found["subset_accuracy"] == pytest.approx(accuracy_score(there, answers), abs=1e-12)
        assert found["hamming"] == pytest.approx(hamming_loss(there, answers), abs=1e-12)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets.double()).item()
    assert found["loss"] == pytest.approx(expected, abs=1e-12)
    each = [average_precision(there[:, k], logits[:, k].numpy()) for k in range(classes) if there[:, k].any()]
    if each:
        assert found["map"] == pytest.approx(np.mean(each), abs=1e-12)
    else:
        assert math.isnan(found["map"])
    assert set(found) == {*(each.name for each in TASK.columns), "count"}


def test_the_baseline_is_the_precision_of_equal_scores() -> None:
    _, targets = drawn(50, 5, 1)
    equal = mean_average_precision(targets.numpy(), np.zeros((50, 5)))
    assert TASK.majority(targets.numpy()) == pytest.approx(equal, abs=1e-12)
    assert TASK.majority(np.zeros((3, 2), dtype=bool)) is None


def test_scores_that_are_no_numbers_have_no_precision() -> None:
    assert math.isnan(mean_average_precision(np.ones((2, 1), dtype=bool), np.array([[1.0], [np.nan]])))


def test_nothing_seen_is_not_a_number() -> None:
    found = Judged(CPU).metrics()
    assert found["count"] == 0
    assert all(math.isnan(found[each.name]) for each in TASK.columns)


def test_sums_taken_over_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, targets = drawn(9, 3, 2)
    totals, again = Totals(CPU), Totals(CPU)
    totals.add(torch.tensor(0.5), logits, targets)
    again.load(totals.reduced())
    assert again.metrics() == totals.metrics() and again.mean_loss() == totals.mean_loss() == 0.5
    monkeypatch.setattr(dist, "rank", lambda: 1)
    again.load(totals.reduced())
    assert again.sums.tolist() == [0.0] * 12


def test_of_mixed_labels_those_above_one_half_count() -> None:
    totals = Totals(CPU)
    totals.add(torch.tensor(0.0), torch.tensor([[1.0, -1.0]]), torch.tensor([[0.7, 0.3]]))
    assert totals.metrics()["subset_accuracy"] == 1.0

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score
from torch.nn.functional import cross_entropy

from cnntrain.core import dist
from cnntrain.tasks.classify.metrics import Totals, means

CPU = torch.device("cpu")


def scored(logits: torch.Tensor, labels: torch.Tensor, cuts: list[int]) -> Totals:
    """The totals of `logits` [n, classes] given in batches that end at `cuts`."""
    totals = Totals(CPU)
    for x, y in zip(np.split(logits.numpy(), cuts), np.split(labels.numpy(), cuts), strict=True):
        if len(y):
            batch, truth = torch.from_numpy(x), torch.from_numpy(y)
            totals.add(cross_entropy(batch, truth), batch, truth)
    return totals


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 12),
    st.integers(1, 60),
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 60), max_size=4).map(sorted),
)
def test_accuracies_and_loss_are_scikit_learns(classes: int, count: int, seed: int, cuts: list[int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (count,), generator=generator)
    found = scored(logits, labels, cuts).metrics()
    every = list(range(classes))
    assert found["count"] == count
    assert found["top1"] == pytest.approx(accuracy_score(labels, logits.argmax(dim=1)), abs=1e-12)
    assert found["loss"] == pytest.approx(log_loss(labels, logits.softmax(dim=1), labels=every), rel=1e-9)
    if classes > 5:
        assert found["top5"] == pytest.approx(top_k_accuracy_score(labels, logits, k=5, labels=every), abs=1e-12)
    else:
        assert found["top5"] == 1.0


def test_the_mean_weighs_samples_not_batches() -> None:
    logits = torch.eye(3)[torch.tensor([0, 0, 0, 0, 0])]
    labels = torch.tensor([0, 0, 0, 0, 1])
    assert scored(logits, labels, [4]).metrics()["top1"] == pytest.approx(0.8)


def test_nothing_seen_is_not_a_number() -> None:
    found = Totals(CPU).metrics()
    assert found["count"] == 0
    assert all(math.isnan(found[name]) for name in ("loss", "top1", "top5"))


def test_sums_taken_over_are_counted_once() -> None:
    totals = scored(torch.randn(9, 7), torch.arange(9) % 7, [])
    again = Totals(CPU)
    again.load(totals.reduced())
    assert again.reduced() == totals.reduced()


def test_on_ranks_other_than_the_first_sums_taken_over_are_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "rank", lambda: 1)
    totals = Totals(CPU)
    totals.load([8.0, 3.5, 2.0, 5.0])
    assert totals.sums.tolist() == [0.0] * 4


def test_metrics_are_of_the_sums_over_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "sum_over_ranks", lambda tensor: tensor * 3)
    totals = scored(torch.eye(2), torch.tensor([0, 0]), [])
    assert totals.metrics()["count"] == 6
    assert totals.metrics()["top1"] == 0.5


def test_means_of_sums() -> None:
    assert means([4, 2.0, 1, 3]) == {"loss": 0.5, "top1": 0.25, "top5": 0.75, "count": 4}


# classifiers trained side by side


def bank(settings: int, count: int = 23, classes: int = 7) -> tuple[Totals, list[Totals]]:
    """The totals of a bank's logits in two batches, and of each setting's alone."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(settings, count, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (count,), generator=generator)
    totals = Totals(CPU)
    for x, y in ((logits[:, :9], labels[:9]), (logits[:, 9:], labels[9:])):
        totals.add(torch.stack([cross_entropy(each, y) for each in x]), x, y)
    return totals, [scored(each, labels, [9]) for each in logits]


def test_each_setting_of_a_bank_is_judged_as_if_alone_and_the_best_stands_for_all() -> None:
    totals, alone = bank(5)
    found = totals.metrics()
    assert found.per_setting == [pytest.approx(each.metrics()) for each in alone]
    best = max(range(5), key=lambda n: (found.per_setting[n]["top1"], -found.per_setting[n]["loss"]))
    assert found == {**found.per_setting[best], "setting": best}
    assert best > 0
    again = Totals(CPU)
    again.load(totals.reduced())
    assert again.metrics() == found


@pytest.mark.parametrize(
    ("settings", "best"),
    [
        ([(0.5, 0.1), (0.6, 9.0)], 1),
        ([(0.5, 0.2), (0.5, 0.1)], 1),
        ([(0.9, math.nan), (0.1, 5.0)], 1),
        ([(0.9, math.inf), (0.1, 5.0), (0.1, 5.0)], 1),
    ],
)
def test_the_best_has_the_highest_top1_then_the_lowest_loss_and_a_finite_one(
    settings: list[tuple[float, float]], best: int
) -> None:
    found = means([number for top1, loss in settings for number in (10, 10 * loss, 10 * top1, 10)])
    assert found["setting"] == best


def test_another_parts_choice_can_be_asked_for() -> None:
    found = bank(5)[0].metrics()
    assert found.chosen_by({"val/setting": 2, "val/top1": 0.5}) == {**found.per_setting[2], "setting": 2}
    alone = means([4, 2.0, 1, 3])
    assert alone.chosen_by({"val/top1": 0.5}) == alone.chosen_by(None) == alone


def test_a_rank_that_saw_no_samples_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "from_first", lambda make: 3)  # the first rank saw three settings
    assert Totals(CPU).reduced() == [0.0] * 12

"""Epochs that show each class equally often: functions of (labels, seed, epoch)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntrain.data.batches.plan import WHOLE, Share, Steps, drawn_equally, train_plan


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=6), seed=st.integers(0, 99), epoch=st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_classes_come_equally_often(counts: list[int], seed: int, epoch: int) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)) * 2, counts))
    order = drawn_equally(labels, seed, epoch).numpy()
    assert len(order) == len(labels)
    share = np.bincount(labels[order] // 2, minlength=len(counts))
    assert share.max() - share.min() <= 1
    for label in np.unique(labels):  # the end of a round, whole rounds, and the beginning of another
        times = np.bincount(order, minlength=len(labels))[labels == label]
        assert times.max() - times.min() <= 2


def test_over_the_epochs_each_sample_has_its_turn() -> None:
    labels = np.repeat([0, 1], [90, 10])
    drawn = [drawn_equally(labels, 3, epoch) for epoch in range(9)]
    times = torch.bincount(torch.cat(drawn), minlength=100)
    assert times[:90].tolist() == [5] * 90 and times[90:].tolist() == [45] * 10
    assert len({tuple(sorted(each[:50].tolist())) for each in drawn}) > 1


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_each_step_of_the_one_order(ranks: int) -> None:
    labels = np.repeat([0, 1, 2], [40, 15, 5])
    steps = Steps(60, 12, ranks, 1)
    whole = [set(each.tolist()) for each in train_plan(steps, 5, 2, WHOLE, None, labels)]
    shares = [[*train_plan(steps, 5, 2, Share(rank, ranks, 1), None, labels)] for rank in range(ranks)]
    for step, together in enumerate(whole):
        assert set(torch.cat([share[step] for share in shares]).tolist()) == together
    assert not torch.equal(
        train_plan(steps, 5, 2, WHOLE, None, labels).order, train_plan(steps, 5, 3, WHOLE, None, labels).order
    )

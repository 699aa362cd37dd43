"""A training that learns nothing says so once, after its first epochs, and where to look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from cnntrain.training.soundness import has_sound_weights

MakeRun = Callable[..., Any]
AT_CHANCE = {"loss": 1.95, "top1": 1 / 7, "top5": 5 / 7}
LEARNED = {"loss": 0.4, "top1": 0.9, "top5": 1.0}


@pytest.mark.parametrize(
    ("train", "val", "words", "said"),
    [
        (AT_CHANCE, AT_CHANCE, ["trainer.epochs=5"], 1),
        (AT_CHANCE, AT_CHANCE, ["trainer.epochs=5", "data.balance=true"], 0),  # the frequent classes do not matter
        (LEARNED, AT_CHANCE, ["trainer.epochs=5"], 0),  # learned by heart: another matter
        (LEARNED, LEARNED, ["trainer.epochs=5"], 0),
        (AT_CHANCE, AT_CHANCE, ["trainer.epochs=3"], 0),  # the end of the run says it
    ],
)
def test_nothing_learned_is_said_once_and_points_to_diagnose(
    train: dict[str, float], val: dict[str, float], words: list[str], said: int, make_run: MakeRun, lines: list[str]
) -> None:
    trial = make_run(*words)
    for epoch in range(trial.config.trainer.epochs):
        told = [each for each in lines if "nothing is learned yet" in each]
        assert len(told) == (said if epoch >= 3 else 0)
        trial.end_epoch(train, val)
    told = [each for each in lines if "nothing is learned yet" in each]
    assert len(told) == said
    for each in told:
        assert f"cnntrain diagnose run={trial.saver.folder}" in each
        assert "ln(7) = 1.9459" in each and "the training loss 1.9500" in each


@pytest.mark.parametrize(
    ("values", "sound"),
    [
        ([1.0, -1.0], True),
        ([3e38, 3e38], True),  # whose sum is infinite
        ([1.0, float("nan")], False),
        ([1.0, float("inf")], False),
        ([float("-inf"), float("inf")], False),
    ],
)
def test_weights_are_sound_where_each_is_a_number(values: list[float], sound: bool) -> None:
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([values]))
    assert has_sound_weights(model) is sound
    assert has_sound_weights(nn.ReLU())

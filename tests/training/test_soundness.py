"""A training that learns nothing says so once, after its first epochs, and where to look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

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

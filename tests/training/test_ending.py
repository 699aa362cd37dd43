from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cnntrain.training.ending import why_ended
from cnntrain.training.progress import Progress


@pytest.mark.parametrize(
    ("words", "left", "step", "said"),
    [
        ((), 0, 9, "trainer.epochs=3 are done: more train it further"),
        (("trainer.max_steps=5",), 0, 5, "trainer.max_steps=5 are done: more train it further"),
        (("trainer.max_steps=5",), 0, 7, "trainer.max_steps=5 are done: more train it further"),
        (("trainer.max_steps=50",), 0, 9, "trainer.epochs=3 are done: more train it further"),
        (
            ("trainer.early_stopping=2",), 4, 5,
            "trainer.early_stopping=2 holds, after 6 epochs without a better val/top1: a larger one, or null, trains "
            "it further",
        ),
    ],
)  # fmt: skip
def test_what_ended_a_run_and_what_trains_it_further(
    words: tuple[str, ...], left: int, step: int, said: str, configure: Callable[..., Any]
) -> None:
    assert why_ended(configure(*words), Progress(step=step, epochs_since_best=6), left) == said

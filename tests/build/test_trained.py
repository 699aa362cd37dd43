"""A trained network read back: what it takes for an image, and in which arithmetic it judges it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cnntrain.build import trained
from cnntrain.build.trained import Trained
from cnntrain.runs import checkpoint

Read = Callable[..., Trained]


@pytest.fixture
def read(make_run: Callable[..., Any], tmp_path: Path) -> Read:
    """The network of a run that has not taken a step."""

    def made(*overrides: str) -> Trained:
        run = make_run(*overrides, folder=tmp_path / "run")
        run.saver.write(None)
        return trained.read(tmp_path / "run" / checkpoint.LAST, torch.device("cpu"))

    return made


@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16"])
def test_a_prediction_is_in_the_arithmetic_of_the_evaluation(read: Read, precision: str) -> None:
    net = read(f"trainer.precision={precision}")
    types = []
    net.network.register_forward_hook(lambda module, given, logits: types.append(logits.dtype))
    (found,) = net.predict([torch.full((3, 32, 32), 90, dtype=torch.uint8)])
    assert types == [getattr(torch, precision)]
    assert sum(found.values()) == pytest.approx(1)

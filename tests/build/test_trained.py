"""A trained network read back: what it takes for an image, and in which arithmetic it judges it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cnntrain.build import trained
from cnntrain.build.trained import Trained
from cnntrain.core.errors import InputError
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


def test_an_image_is_seen_as_the_network_was_trained_to(read: Read) -> None:
    net = read("data.channels=1", "data.crop=squash")
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 1), dtype=np.uint8)
    fitted, _ = net.seen.fit(torch.from_numpy(image).permute(2, 0, 1), 0)
    expected = (fitted[None].float() / 255 - net.seen.mean[0]) / net.seen.std[0]
    assert torch.allclose(net.preprocess(image), expected, atol=1e-6)
    with pytest.raises(InputError, match="a list is not an image"):
        net.predict([[image]])


def test_settings_that_nothing_has_chosen_among_are_said(read: Read) -> None:
    net = read("transfer=probe_depths", "model.pretrained=false", "transfer.random_weights=false")
    with pytest.raises(
        InputError, match=r"last\.ckpt: the run had no validation yet, which chooses among its settings"
    ):
        net.predict([np.zeros((32, 32, 3), np.uint8)])

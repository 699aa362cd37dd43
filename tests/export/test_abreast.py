"""Networks that are judged at once are judged as each is by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from composing import composed
from torch import Tensor, nn

from cnntrain.build.data import load_data
from cnntrain.build.judging import Member
from cnntrain.build.trained import Trained
from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.export import abreast

WORDS = ("data=fake", "data.val_size=21", "data.batch_size=8", "data.num_classes=7", "data.num_workers=0",
         "model=lenet5", "trainer.device=cpu", "task.metrics=[ece]")  # fmt: skip


class Net(nn.Module):
    def __init__(self, seed: int):
        super().__init__()
        torch.manual_seed(seed)
        self.last = nn.Linear(3 * 64, 7)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(nn.functional.adaptive_avg_pool2d(x, 8).flatten(1))


def test_networks_are_judged_at_once_as_each_by_itself(tmp_path: Path) -> None:
    config = check(composed(WORDS), Train)
    seen = Preprocess(3, 32, "center", 1.0, "bilinear", mean=[0.5] * 3, std=[0.3] * 3, background="white")
    classes, device = [str(each) for each in range(7)], torch.device("cpu")
    found = Trained(tmp_path / "a.ckpt", config, Net(0).eval(), seen, classes, 1, None, "f", [], device)
    members = [Member(replace(found, network=Net(seed).eval()), seen) for seed in (0, 1, 2)]
    images = load_data(config.data).labelled("val")
    alone = [each.judged(images) for each in members]
    beside = abreast.judged(members, images, 2.0)
    for own, other in zip(alone, beside, strict=True):
        assert other.judged.metrics == own.metrics
        assert own.predictions is not None and other.judged.predictions is not None
        np.testing.assert_array_equal(other.judged.predictions.logits, own.predictions.logits)
    logits = [torch.tensor(each.predictions.logits).double() for each in alone if each.predictions is not None]
    for values, other in zip(logits, beside, strict=True):
        largest = ((values / 2).softmax(1) - (logits[0] / 2).softmax(1)).abs().max()
        assert other.difference.largest == pytest.approx(float(largest), abs=1e-12)
        assert other.difference.changed == int((values.argmax(1) != logits[0].argmax(1)).sum())
    assert [each.difference.compared for each in beside] == [21] * 3
    assert beside[0].difference.largest == 0 < beside[1].difference.largest

"""What an evaluation finds of a generator, computed another way; sums of a training that go on after a resume."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from torchmetrics.image.fid import _compute_fid

from cnntrain.core.adversaries import Scores, Seen, latents
from cnntrain.models import registry
from cnntrain.tasks.generate.objective import Generation, shrunk

registry.register()
CPU = torch.device("cpu")


def network() -> Any:
    torch.manual_seed(0)
    return timm.create_model("dcgan", in_chans=1, img_size=16, latent=5, width=4).eval()


def levels(images: Tensor) -> Tensor:
    """Grey levels as the mean of each 2x2 square, from 0 to 1."""
    whole = ((images + 1) * 127.5).round().double().numpy()
    return torch.from_numpy(whole.reshape(len(images), 8, 2, 8, 2).mean((2, 4)).reshape(len(images), 64) / 255)


def test_an_evaluation_is_over_the_images_and_as_many_made_ones_as_are_asked_for() -> None:
    net, images = network(), torch.rand(90, 1, 16, 16) * 2 - 1
    task = Generation("pixel_distance", 0.2, 150, shrunk)  # smoothing is of training alone
    totals = task.judged(CPU)
    for batch in images.split(40):
        loss, judged = task.plain_loss(net(batch), None)
        totals.add(loss, judged, None)
    with torch.no_grad():
        fakes = net.generate(latents(range(150), 5))
        real, fake = net.discriminate(images), net.discriminate(fakes)
    found = totals.metrics()
    loss_d = float(-logsigmoid(real.double()).mean() - logsigmoid(-fake.double()).mean())
    loss_g = float(-logsigmoid(fake.double()).mean())
    assert found["loss_d"] == pytest.approx(loss_d, rel=1e-6) and found["loss_g"] == pytest.approx(loss_g, rel=1e-6)
    assert found["loss"] == pytest.approx(loss_d + loss_g, rel=1e-6) and found["count"] == 90
    shown = [levels(each[:, 0]) for each in (images, fakes)]
    means, spreads = [each.mean(0) for each in shown], [torch.from_numpy(np.cov(each.T)) for each in shown]
    theirs = float(_compute_fid(means[0], spreads[0], means[1], spreads[1]))
    assert found["pixel_distance"] == pytest.approx(theirs, rel=1e-5)


def test_of_no_images_nothing_is_known() -> None:
    found = Generation("fid", 0.0, 10, shrunk).judged(CPU).metrics()
    assert found["count"] == 0 and np.isnan([found["fid"], found["loss"], found["loss_d"], found["loss_g"]]).all()


def test_sums_of_a_training_go_on() -> None:
    task = Generation("fid", 0.0, 10, shrunk)
    outputs = [Scores(*torch.randn(3, count)) for count in (4, 2)]
    whole, halves = task.totals(CPU), [task.totals(CPU), task.totals(CPU)]
    for number, each in enumerate(outputs):
        loss, judged = task.loss(each, None)
        whole.add(loss, judged, None)
        halves[number].add(loss, judged, None)
        halves[1].load(halves[0].reduced()) if not number else None
    assert halves[1].reduced() == whole.reduced() and whole.metrics()["count"] == 6
    assert whole.mean_loss() == pytest.approx(whole.metrics()["loss"])
    assert isinstance(network()(torch.zeros(2, 1, 16, 16)), Seen)

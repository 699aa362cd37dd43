"""airbench's network: written out, and its first layer, which whitens the patches that it was computed from."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnntrain.models import norms, registry

registry.register()


def net(**kwargs: Any) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("airbench", **kwargs)


def coloured(count: int) -> Tensor:
    """Images whose pixels depend on their neighbours and channels on one another."""
    noise = torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    return F.avg_pool2d(noise, 3, 1) + noise.mean(1, keepdim=True)[:, :, 1:-1, 1:-1]


def test_airbench_equals_the_paper_written_out() -> None:
    model, images = net().double(), torch.randn(4, 3, 32, 32).double()
    model.begin([images])
    w = model.state_dict()
    x = F.gelu(F.conv2d(images, w["whiten.conv.weight"], w["whiten.conv.bias"]))
    for group in ("group1", "group2", "group3"):
        x = F.max_pool2d(F.conv2d(x, w[f"{group}.conv1.weight"], padding=1), 2)
        x = F.gelu(F.batch_norm(x, None, None, training=True, eps=1e-12))
        x = F.conv2d(x, w[f"{group}.conv2.weight"], padding=1)
        x = F.gelu(F.batch_norm(x, None, None, training=True, eps=1e-12))
    logits = F.linear(F.max_pool2d(x, 3).flatten(1), w["classifier.weight"]) / 9
    torch.testing.assert_close(model.train()(images), logits)
    assert {each.momentum for each in model.modules() if isinstance(each, nn.BatchNorm2d)} == {0.4}
    trained = {name.rpartition(".")[2] for name, _ in model.named_parameters() if "norm" in name}
    assert trained == {"bias"} and "whiten.conv.weight" not in dict(model.named_parameters())


def test_convolutions_begin_with_the_maps_that_they_are_given() -> None:
    model = net()
    maps = torch.randn(1, 64, 7, 7)
    assert torch.equal(model.group2.conv1(maps)[:, :64], maps)
    assert model.group2.conv1.weight[64:].std() > 0
    assert not model.whiten.conv.bias.any()


def test_the_first_layer_whitens_whatever_the_batches() -> None:
    """But for a small constant what it gives of the images it was computed from has variance 1, and no covariance."""
    model, images = net(), coloured(400)
    model.begin(images.split(150))
    maps = (model.whiten.conv(images).double()).transpose(0, 1).flatten(1)
    found = maps[:12] @ maps[:12].T / maps.shape[1]
    assert (found.diagonal() > 0.9).all() and (found.diagonal() <= 1).all()
    assert (found - found.diagonal().diag()).abs().max() < 1e-4
    assert torch.allclose(maps[12:], -maps[:12])
    variances = 1 / model.whiten.conv.weight[:12].flatten(1).square().sum(1)
    assert (variances.diff() < 0).all()  # the largest first
    again = net()
    again.begin([images])
    torch.testing.assert_close(again.whiten.conv.weight.abs(), model.whiten.conv.weight.abs(), atol=1e-4, rtol=1e-4)


def test_another_norm_can_stand_in_the_place_of_those_that_have_no_trained_scale() -> None:
    model = net()
    norms.exchange(model, "group")
    assert isinstance(model.group1.norm1, nn.GroupNorm) and model.group1.norm1.weight.eq(1).all()


def test_it_takes_images_from_9x9_pixels_on() -> None:
    assert net()(torch.randn(2, 3, 9, 9)).shape == (2, 10)
    with pytest.raises(RuntimeError, match="too small"):
        net()(torch.randn(2, 3, 8, 8))

"""Other norms in the place of batch norms, against their formulas."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn
from torch.nn.functional import layer_norm, pad

from cnntrain.core.errors import ConfigError
from cnntrain.models.create import create
from cnntrain.models.norms import NORMS, exchange, groups

OVER = {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}  # dimensions of (N, C, H, W)


def made(name: str, norm: str | None) -> nn.Module:
    return create(name, 10, 3, None, {}, False, norm=norm)


def expected(maps: torch.Tensor, norm: str, eps: float) -> torch.Tensor:
    if norm == "none":
        return maps
    if norm == "local":  # Krizhevsky et al. 2012, section 3.3
        squares = pad(maps.square(), (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
        return maps / (2 + 1e-4 * squares) ** 0.75
    if norm == "group":
        return torch.cat([layer_norm(each, each.shape[1:], eps=eps) for each in maps.split(8, 1)], 1)
    mean = maps.mean(OVER[norm], keepdim=True)
    return (maps - mean) / maps.var(OVER[norm], unbiased=False, keepdim=True).add(eps).sqrt()


@pytest.mark.parametrize("norm", NORMS)
def test_another_norm_stands_where_batch_norm_stood(norm: str) -> None:
    net = made("resnet20", norm).train()
    convolved = net.get_submodule("stem.conv")(3 * torch.randn(4, 3, 32, 32) + 1)
    assert torch.allclose(net.get_submodule("stem.bn")(convolved), expected(convolved, norm, 1e-5), atol=1e-4)
    count = sum(isinstance(each, nn.BatchNorm2d) for each in net.modules())
    assert count == (19 if norm == "batch" else 0)


@pytest.mark.parametrize("norm", NORMS)
def test_timms_norm_keeps_its_activation_and_its_epsilon(norm: str) -> None:
    """EfficientNet-Lite as TensorFlow has it: ReLU6 within the norm, and 0.001 added to the variance."""
    net = made("tf_efficientnet_lite0", norm).train()
    maps = 4 * torch.randn(2, 32, 8, 8)
    with torch.no_grad():
        given = net.get_submodule("bn1")(maps)
    assert torch.allclose(given, expected(maps, norm, 1e-3).clamp(0, 6), atol=1e-4)
    assert net.eval()(torch.randn(1, 3, 64, 64)).shape == (1, 10)


def test_scales_begin_as_they_were_initialised() -> None:
    """timm's ResNets begin with a scale of 0 at the end of each block, which is then the identity."""
    net = made("resnet18", "group")
    assert not net.get_submodule("layer2.1.bn2").get_parameter("weight").any()
    assert net.get_submodule("layer2.1.bn1").get_parameter("weight").eq(1).all()


def test_names_stay_and_nothing_changes_without_a_norm_or_with_batch() -> None:
    own = timm.create_model("resnet20", num_classes=10).state_dict()
    assert made("resnet20", None).state_dict().keys() == made("resnet20", "batch").state_dict().keys() == own.keys()
    kept = [name for name in own if not name.rsplit(".", 1)[1].startswith(("running_", "num_batches"))]
    assert list(made("resnet20", "instance").state_dict()) == kept


def test_groups_are_equally_large() -> None:
    assert [groups(each) for each in (4, 8, 16, 20, 60, 64, 97)] == [1, 1, 2, 2, 6, 8, 1]


@pytest.mark.parametrize(
    "name", ["densenet40", "resnetv2_18", "shufflenet_g3", "fractalnet", "mobilenetv1_100", "bn_inception"]
)
def test_families(name: str) -> None:
    with torch.device("meta"):
        net = made(name, "group").eval()
        published = timm.get_pretrained_cfg(name)
        size = published.input_size if published else (3, 224, 224)
        assert net(torch.zeros(2, *size)).shape == (2, 10)
    assert not any("BatchNorm" in type(each).__name__ for each in net.modules())


def test_what_cannot_be_exchanged_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.norm=group: LeNet5 has no batch norm .*; model\.norm=null"):
        made("lenet5", "group")
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.BatchNorm1d(16))
    with pytest.raises(ConfigError, match="Sequential has 3, a BatchNorm1d"):
        exchange(net, "layer")
    assert isinstance(net[1], nn.BatchNorm2d)

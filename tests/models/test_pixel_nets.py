"""Networks that answer for each pixel: their published sizes, torchvision's own answers, and what freezing needs."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torchvision.models.segmentation as tv
from torch import nn
from torch.nn.functional import interpolate

from cnntrain.models import registry
from cnntrain.models.pixel_net import bilinear
from cnntrain.models.stem import use_cifar_stem
from cnntrain.transfer.freezing import Freezing
from cnntrain.transfer.full import Full
from cnntrain.transfer.groups import coarse_groups

registry.register()
# Long et al. 2015 and torchvision's table of weights, which has these nets with 21 classes
PARAMETERS = {
    "fcn32s_vgg16": 136_152_917,
    "fcn16s_vgg16": 134_815_994,
    "fcn8s_vgg16": 134_489_759,
    "fcn_resnet50": 32_957_013,
    "fcn_resnet101": 51_949_141,
    "deeplabv3": 39_638_869,
    "lraspp": 3_221_538,
}
TWINS = {
    "fcn_resnet50": tv.fcn_resnet50,
    "deeplabv3": tv.deeplabv3_resnet50,
    "lraspp": tv.lraspp_mobilenet_v3_large,
}
BACKBONES = ("resnet20", "resnet18", "mobilenetv3_small_100", "vgg11", "convnext_atto")


def count(net: nn.Module) -> int:
    return sum(each.numel() for each in net.parameters())


@pytest.mark.parametrize("name", PARAMETERS)
def test_sizes_are_the_published_ones_and_logits_are_as_large_as_images(name: str) -> None:
    with torch.device("meta"):
        net: Any = timm.create_model(name).eval()
        assert net(torch.empty(1, 3, 65, 70)).shape == (1, 21, 65, 70)
        other = timm.create_model(name, num_classes=4, in_chans=1).eval()
        assert other(torch.empty(1, 1, 64, 64)).shape == (1, 4, 64, 64)
    assert count(net) == PARAMETERS[name]
    groups = coarse_groups(net)
    assert groups[-1].parameters == tuple(n for n, _ in net.named_parameters() if n.startswith(f"{net.HEAD}."))
    assert len(groups) >= 6


@pytest.mark.parametrize("name", TWINS)
def test_torchvisions_weights_give_torchvisions_answers(name: str) -> None:
    torch.manual_seed(0)
    twin = TWINS[name](weights=None, weights_backbone=None, num_classes=3).eval()
    net = timm.create_model(name, num_classes=3).eval()
    net.load_state_dict(twin.state_dict())
    images = torch.randn(1, 3, 33, 40)
    torch.testing.assert_close(net(images), twin(images)["out"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BACKBONES)
def test_any_backbone_is_used_whole_and_comes_before_the_head(name: str) -> None:
    net: Any = timm.create_model("fcn", num_classes=5, backbone=name)
    net(torch.randn(2, 3, 64, 64)).square().mean().backward()
    assert [name for name, each in net.named_parameters() if each.grad is None] == []
    groups = coarse_groups(net)
    assert groups[-1].name == "head" and all(each.name.startswith("backbone.") for each in groups[:-1])


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3", "fcn"])
def test_a_checkpoint_is_told_of_first_layers_for_small_images(name: str) -> None:
    net: Any = timm.create_model(name, num_classes=3, in_chans=1)
    assert not net.small_stem
    assert use_cifar_stem(net.backbone) and net.small_stem and net.backbone.conv1.kernel_size == (3, 3)


def test_a_backbone_without_enough_maps_is_refused() -> None:
    with pytest.raises(ValueError, match="skips=9 needs maps of 10 sizes"):
        timm.create_model("fcn", backbone="resnet20", skips=9)


def test_transposed_convolutions_begin_as_bilinear_interpolation() -> None:
    maps = torch.randn(1, 2, 6, 6)
    layer = nn.ConvTranspose2d(2, 2, 8, 4, 2, bias=False)
    layer.weight.data = bilinear(2, 8)
    wanted = interpolate(maps, scale_factor=4, mode="bilinear", align_corners=False)
    torch.testing.assert_close(layer(maps)[..., 4:-4, 4:-4], wanted[..., 4:-4, 4:-4])


def test_what_a_model_fixes_no_policy_trains() -> None:
    class Fixing(nn.Module):
        fixed = ("head.1.weight",)

        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, bias=False))

        def get_classifier(self) -> nn.Module:
            return self.head

    net = Fixing()
    freezing = Freezing(net, Full("full", 1.0))
    assert freezing.names == {"head.1.weight"} == {n for n, each in net.named_parameters() if not each.requires_grad}
    with torch.device("meta"):
        vgg: Any = timm.create_model("fcn8s_vgg16")
    assert set(vgg.fixed) < {name for name, _ in vgg.named_parameters()}


def test_parameters_that_no_map_depends_on_are_found() -> None:
    net: Any = timm.create_model("fcn", backbone="hrnet_w18_small", skips=1, num_classes=3).train()
    before = {name: each.clone() for name, each in net.state_dict().items()}
    sum(each.sum() for each in net.maps(torch.zeros(2, 3, 64, 64))).backward()
    without = [f"backbone.{name}" for name, each in net.backbone.named_parameters() if each.grad is None]
    net.load_state_dict(before)
    assert net.unused() == without and len(without) == 42
    assert all(torch.equal(before[name], each) for name, each in net.state_dict().items())

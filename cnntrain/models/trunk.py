"""Another network as the trunk of one that answers for places in an image: its maps, one by one, and their groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import timm
import torch
from timm.models import group_parameters
from torch import Tensor, nn
from torch.func import functional_call

from cnntrain.models.layers import stages
from cnntrain.models.pixel_net import PixelNet, build, without_in_place


class OverTrunk(PixelNet):
    """Args:
    backbone: any name of timm's registry, ours included.
    wanted: of its `feature_info` the places of the maps that are taken, the finest first.
    pretrained_backbone: what timm's `create_model` is given for its weights.

    Attributes:
        depths: channels of the maps.
        strides: pixels of the image that a pixel of a map stands for, a side.
    """

    def __init__(
        self,
        num_classes: int,
        in_chans: int,
        backbone: str,
        wanted: Callable[[list[dict[str, Any]]], list[int]],
        pretrained_backbone: Mapping[str, Any] | None,
    ):
        super().__init__(num_classes, in_chans)
        whole: Any = timm.create_model(backbone, num_classes=0, in_chans=in_chans, **(pretrained_backbone or {}))
        if not hasattr(whole, "forward_intermediates"):
            raise ValueError(f"backbone={backbone} does not give its maps one by one: take another")
        self.places = wanted([whole.feature_info[place] for place in range(len(whole.feature_info))])
        info = [whole.feature_info[place] for place in self.places]
        self.depths: list[int] = [each["num_chs"] for each in info]
        self.strides: list[int] = [each["reduction"] for each in info]
        whole.prune_intermediate_layers([*self.places], prune_norm=True, prune_head=True)
        without_in_place(whole)
        self.backbone = whole
        self.map_names = [f"backbone.{name}" for name in stages(whole)]

    def maps(self, images: Tensor) -> list[Tensor]:
        """The finest first."""
        found: list[Tensor] = self.backbone.forward_intermediates(
            images, indices=[*self.places], intermediates_only=True
        )
        return found

    def unused(self) -> list[str]:
        """Names of parameters that no map depends on, such as those of HRNet's last layers that lead to maps which are
        not taken. Found on the meta device."""
        own = dict(self.backbone.named_parameters(prefix="net.backbone"))
        meta = {
            name: torch.empty_like(each, device="meta", requires_grad=name in own)
            for name, each in (*own.items(), *self.backbone.named_buffers(prefix="net.backbone"))
        }
        images = torch.empty(2, self.in_chans, *self.backbone.pretrained_cfg["input_size"][1:], device="meta")
        maps = functional_call(Maps(self), meta, (images,))
        given = torch.autograd.grad([each.sum() for each in maps], [meta[name] for name in own], allow_unused=True)
        return [name.removeprefix("net.") for name, each in zip(own, given, strict=True) if each is None]

    def group_matcher(self, coarse: bool = False) -> Callable[[str], int]:
        """The groups of the backbone, then the head."""
        numbers: dict[str, int] = {}
        for number, (_, names) in enumerate(sorted(group_parameters(self.backbone, self._inner(coarse)).items())):
            numbers |= {f"backbone.{name}": number for name in names}
        last = 1 + max(numbers.values())
        return lambda name: numbers.get(name, last)

    def _inner(self, coarse: bool) -> Any:
        try:
            return self.backbone.group_matcher(coarse=coarse)
        except (AttributeError, AssertionError):  # a few have none: their children are the groups
            order = [name for name, _ in self.backbone.named_children()]
            return lambda name: order.index(name.partition(".")[0]) if "." in name else 0

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        self.backbone.set_grad_checkpointing(enable)


class Maps(nn.Module):
    """A network's maps as what it gives."""

    def __init__(self, net: OverTrunk):
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.net.maps(images)


def last_of_each_stride(info: list[dict[str, Any]]) -> list[int]:
    """The places of the last map of each stride, the finest first."""
    return sorted({each["reduction"]: place for place, each in enumerate(info)}.values())


def build_over(net: Callable[..., OverTrunk], variant: str, pretrained: bool, overlay: Any, **kwargs: Any) -> nn.Module:
    """What an entrypoint returns: pretrained is its backbone, whose mean and deviation of images it then has."""
    given = {"pretrained": True, "pretrained_cfg_overlay": overlay} if pretrained else None
    found: Any = build(net, variant, False, pretrained_backbone=given, **kwargs)
    if pretrained:
        found.pretrained_cfg = found.default_cfg = dict(found.backbone.pretrained_cfg)
    return found

"""An FCN's head over the maps of any network of timm's, ours included, that gives them one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import timm
from timm.models import generate_default_cfgs, group_parameters, register_model
from torch import Tensor, nn
from torchvision.models.segmentation.fcn import FCNHead

from cnntrain.models.base import default_cfg
from cnntrain.models.pixel_net import PixelNet, build, enlarged, without_in_place


class FusedHead(nn.Module):
    """Logits of the coarsest maps by torchvision's FCN head (3x3 convolution, batch norm, ReLU, dropout, 1x1
    convolution), each time enlarged bilinearly and added to those of finer ones by a 1x1 convolution, as in FCN-8s."""

    def __init__(self, depths: Sequence[int], num_classes: int, drop_rate: float):
        super().__init__()
        *finer, coarsest = depths
        self.coarse = FCNHead(coarsest, num_classes)
        self.coarse[3] = nn.Dropout(drop_rate)
        self.skips = nn.ModuleList(nn.Conv2d(depth, num_classes, 1) for depth in reversed(finer))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        scores = self.coarse(maps[-1])
        for number, skip in enumerate(self.skips):
            finer = skip(maps[-2 - number])
            scores = finer + enlarged(scores, finer)
        return scores


class Fcn(PixelNet):
    """Args:
    backbone: any name of timm's registry.
    skips: finer maps whose logits are added: 2 as in FCN-8s, where the coarsest are 32 times as coarse as the images;
        0: none.
    pretrained_backbone: what timm's `create_model` is given for its weights.
    """

    def __init__(
        self,
        num_classes: int = 21,
        in_chans: int = 3,
        drop_rate: float = 0.1,
        backbone: str = "resnet18",
        skips: int = 2,
        pretrained_backbone: Mapping[str, Any] | None = None,
    ):
        super().__init__(num_classes, in_chans)
        whole: Any = timm.create_model(backbone, num_classes=0, in_chans=in_chans, **(pretrained_backbone or {}))
        if not hasattr(whole, "forward_intermediates"):
            raise ValueError(f"backbone={backbone} does not give its maps one by one: take another")
        self.places = _coarsest(whole.feature_info, 1 + skips)
        depths = [whole.feature_info[place]["num_chs"] for place in self.places]
        whole.prune_intermediate_layers([*self.places], prune_norm=True, prune_head=True)
        without_in_place(whole)
        self.backbone = whole
        self.head = FusedHead(depths, num_classes, drop_rate)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.backbone.forward_intermediates(images, indices=[*self.places], intermediates_only=True)
        return enlarged(self.head(maps), images)

    @property
    def small_stem(self) -> bool:
        return bool(getattr(self.backbone, "small_stem", False))

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


def _coarsest(info: Any, count: int) -> list[int]:
    """The places of the last maps of each of so many strides, the finest first.

    Raises:
        ValueError: there are no maps of so many strides.
    """
    last = {each["reduction"]: place for place, each in enumerate(info)}
    places = sorted(last.values())[-count:]
    if len(places) < count:
        raise ValueError(f"skips={count - 1} needs maps of {count} sizes, and the backbone has {len(places)}")
    return places


default_cfgs = generate_default_cfgs({"fcn": default_cfg("backbone", (3, 224, 224), 21, classifier="head.coarse.4")})


@register_model
def fcn(pretrained: bool = False, pretrained_cfg_overlay: Any = None, **kwargs: Any) -> nn.Module:
    """Pretrained is its backbone, whose mean and deviation of images it then has."""
    given = {"pretrained": True, "pretrained_cfg_overlay": pretrained_cfg_overlay} if pretrained else None
    found: Any = build(Fcn, "fcn", False, pretrained_backbone=given, **kwargs)
    if pretrained:
        found.pretrained_cfg = found.default_cfg = dict(found.backbone.pretrained_cfg)
    return found

"""An FCN's head over the maps of any network of timm's, ours included, that gives them one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn
from torchvision.models.segmentation.fcn import FCNHead

from cnntrain.models.base import default_cfg
from cnntrain.models.pixel_net import enlarged
from cnntrain.models.trunk import OverTrunk, build_over, last_of_each_stride


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


class Fcn(OverTrunk):
    """Args:
    skips: finer maps whose logits are added: 2 as in FCN-8s, where the coarsest are 32 times as coarse as the images;
        0: none.
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
        super().__init__(num_classes, in_chans, backbone, lambda info: _coarsest(info, 1 + skips), pretrained_backbone)
        self.head = FusedHead(self.depths, num_classes, drop_rate)

    def forward(self, images: Tensor) -> Tensor:
        return enlarged(self.head(self.maps(images)), images)


def _coarsest(info: list[dict[str, Any]], count: int) -> list[int]:
    """The places of the last maps of each of so many strides, the finest first.

    Raises:
        ValueError: there are no maps of so many strides.
    """
    places = last_of_each_stride(info)[-count:]
    if len(places) < count:
        raise ValueError(f"skips={count - 1} needs maps of {count} sizes, and the backbone has {len(places)}")
    return places


default_cfgs = generate_default_cfgs({"fcn": default_cfg("backbone", (3, 224, 224), 21, classifier="head.coarse.4")})


@register_model
def fcn(pretrained: bool = False, pretrained_cfg_overlay: Any = None, **kwargs: Any) -> nn.Module:
    """See `build_over`."""
    return build_over(Fcn, "fcn", pretrained, pretrained_cfg_overlay, **kwargs)

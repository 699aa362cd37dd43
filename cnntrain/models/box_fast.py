"""Fast R-CNN (Girshick 2015, arXiv:1504.08083) over any network, with proposals by selective search."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from timm.layers import to_2tuple
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import RoIAlign, RoIPool

from cnntrain.models.base import default_cfg
from cnntrain.models.box_net import BoxNet, Detected, Info, outlined, widened
from cnntrain.models.box_regions import FIRST, RegionHead, Sizes, region_heads
from cnntrain.models.proposals import Proposals, listed
from cnntrain.models.trunk import build_over, last_of_each_stride

COARSEST = 16  # stride of the map, as in the paper; and of the image's side it is this part at most


class OneMap(nn.Module):
    """The last map and boxes to what it has in each box [boxes, channels, side, side]."""

    def __init__(self, pool: RoIPool | RoIAlign):
        super().__init__()
        self.pool = pool

    def forward(self, maps: list[Tensor], boxes: list[Tensor], sizes: Sizes) -> Tensor:
        values = widened(maps[-1])
        found: Tensor = self.pool(values, [each.to(values) for each in boxes])
        return found


class FastHead(RegionHead):
    """Args:
    pooling: pool rounds boxes to the map's pixels, align does not.
    pooled: a side of what is made of each box.
    hidden: features of a proposal.
    more: see `region_heads`.
    """

    def __init__(
        self,
        depths: list[int],
        strides: list[int],
        *,
        num_classes: int,
        pooling: Literal["pool", "align"],
        pooled: int,
        hidden: int,
        more: Mapping[str, Any],
    ):
        super().__init__()
        if pooling not in ("pool", "align"):
            raise ValueError(f"pooling must be pool or align, not {pooling}")
        scale = 1 / strides[-1]
        pool = RoIPool(pooled, scale) if pooling == "pool" else RoIAlign(pooled, scale, 2, aligned=True)
        features = depths[-1] * pooled**2
        parts = TwoMLPHead(features, hidden), FastRCNNPredictor(hidden, num_classes + FIRST)
        self.roi_heads = region_heads(OneMap(pool), *parts, **more)

    def forward(self, maps: list[Tensor], height: int, width: int, proposals: Tensor) -> Detected:  # type: ignore[override]
        if not proposals.is_meta:
            return self._of_proposals_alone(maps, listed(proposals), [(height, width)] * len(proposals))
        heads = self.roi_heads
        heads.box_predictor(heads.box_head(heads.box_roi_pool(maps, [*proposals], [])))
        return outlined(proposals, self.roi_heads.detections_per_img, self.training)


class FastRcnn(BoxNet):
    """Args:
    proposals: of an image, at most.
    stride: of the trunk's map that is taken; None: the coarsest up to 16 pixels and a 16th of the image's side.
    pooling, pooled, hidden: see `FastHead`.
    more: keys of torchvision's FasterRCNN that say how proposals are chosen and judged, see `region_heads`.
    """

    def __init__(
        self,
        num_classes: int = 20,
        in_chans: int = 3,
        img_size: int | tuple[int, int] = 600,
        backbone: str = "resnet50",
        proposals: int = 200,
        stride: int | None = None,
        pooling: Literal["pool", "align"] = "pool",
        pooled: int = 7,
        hidden: int = 1024,
        pretrained_backbone: Mapping[str, Any] | None = None,
        **more: Any,
    ):
        keys: dict[str, Any] = dict(pooling=pooling, pooled=pooled, hidden=hidden, more=more)
        side = max(to_2tuple(img_size))
        head = partial(FastHead, num_classes=num_classes, **keys)
        super().__init__(head, num_classes, in_chans, backbone, partial(_one, stride, side), pretrained_backbone)
        self.propose = Proposals(proposals)

    def forward(self, images: Tensor) -> Detected:
        places = self.propose(images)
        found: Detected = self.head(self.maps(images), images.shape[-2], images.shape[-1], places)
        return found


def _one(stride: int | None, side: int, info: Info) -> list[int]:
    """The place of the map that is taken."""
    places = last_of_each_stride(info)
    strides = [info[place]["reduction"] for place in places]
    if stride is None:
        stride = max((each for each in strides if each <= min(COARSEST, side / COARSEST)), default=strides[0])
    if stride not in strides:
        raise ValueError(f"stride must be one of the backbone's, {', '.join(map(str, strides))}, not {stride}")
    return [places[strides.index(stride)]]


_CFG = default_cfg("backbone", (3, 600, 600), 20, classifier="head", fixed_input_size=True)
default_cfgs = generate_default_cfgs({"fast_rcnn": _CFG})


@register_model
def fast_rcnn(pretrained: bool = False, pretrained_cfg_overlay: Any = None, **kwargs: Any) -> nn.Module:
    """See `build_over`."""
    return build_over(FastRcnn, "fast_rcnn", pretrained, pretrained_cfg_overlay, **kwargs)

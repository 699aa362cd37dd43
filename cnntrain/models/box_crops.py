"""R-CNN (Girshick et al. 2014, arXiv:1311.2524) over any network, with proposals by selective search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss
from torchvision.ops import batched_nms, clip_boxes_to_image, remove_small_boxes, roi_align

from cnntrain.models.base import default_cfg
from cnntrain.models.box_net import BoxNet, Detected, Info, Objects, outlined, widened
from cnntrain.models.box_regions import FIRST, RegionHead, Sizes, region_heads
from cnntrain.models.proposals import Proposals, listed
from cnntrain.models.trunk import build_over, last_of_each_stride

CONTEXT = 16 / 227  # of a crop's side, what is seen around the box on each side
EMPTY = 1e-2  # pixels a side, below which torchvision drops a box
BETA = 1 / 9  # of the loss of places, as torchvision has it


class Seen:
    """Images, and what makes features of crops of them."""

    def __init__(self, images: Tensor, trunk: Callable[[Tensor], Tensor]):
        self.images = images
        self.trunk = trunk


class Judges(nn.Module):
    """Features to the margin of each class, one linear SVM each, and to as many boxes."""

    def __init__(self, features: int, num_classes: int):
        super().__init__()
        self.svm = nn.Linear(features, num_classes)
        self.places = nn.Linear(features, 4 * num_classes)
        for each in (self.svm, self.places):
            nn.init.normal_(each.weight, std=0.001)
            nn.init.zeros_(each.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.svm(features), self.places(features)


class CropHead(RegionHead):
    """Args:
    crop: pixels a side that each proposal is warped to, with its context.
    pooled: a side of what is made of the last map of a crop.
    l2: of the SVMs' weights.
    more: see `region_heads`.
    """

    def __init__(
        self,
        depths: list[int],
        strides: list[int],
        *,
        num_classes: int,
        crop: int,
        pooled: int,
        l2: float,
        more: Mapping[str, Any],
    ):
        super().__init__()
        if crop < 1 or l2 < 0:
            raise ValueError(f"crop must be 1 pixel or more, and l2 0 or more, not {crop} and {l2}")
        self.crop, self.l2 = crop, l2
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(pooled), nn.Flatten())
        judges = Judges(depths[-1] * pooled**2, num_classes)
        self.roi_heads = region_heads(nn.Identity(), pool, judges, **{"box_nms_thresh": 0.3, **more})

    def forward(self, seen: Seen, proposals: Tensor) -> Detected:  # type: ignore[override]
        images = seen.images
        if not proposals.is_meta:
            sizes = [(images.shape[-2], images.shape[-1])] * len(images)
            return self._of_proposals_alone(seen, listed(proposals), sizes)
        crops = roi_align(images, [*proposals], self.crop)  # as many as there can be
        self.roi_heads.box_predictor(self.roi_heads.box_head(seen.trunk(crops)))
        return outlined(proposals, self.roi_heads.detections_per_img, self.training)

    def _judged(self, seen: Seen, boxes: list[Tensor], sizes: Sizes) -> tuple[Tensor, Tensor]:
        """Margins [boxes, classes] and offsets [boxes, 4 classes]."""
        crops = warped(seen.images, boxes, self.crop)
        margins, deltas = self.roi_heads.box_predictor(self.roi_heads.box_head(seen.trunk(crops)))
        return widened(margins), widened(deltas)

    def _loss(self, scores: Tensor, deltas: Tensor, labels: Tensor, offsets: Tensor) -> Tensor:
        """Squared hinges of one class against all else, with the SVMs' weights held small; and those of the places of
        objects."""
        sides = 2 * torch.eye(scores.shape[1] + FIRST).to(scores)[labels, FIRST:] - 1
        hinges = (1 - sides * scores).clamp(min=0).square().sum(1).mean()
        small = self.l2 / 2 * widened(self.roi_heads.box_predictor.svm.weight).square().sum()
        there = (labels > 0).nonzero()[:, 0]
        own = deltas.view(len(labels), -1, 4)[there, labels[there] - FIRST]
        places = smooth_l1_loss(own, offsets[there], beta=BETA, reduction="sum") / len(labels)
        return hinges + small + places

    def _detections(self, seen: Seen, proposals: list[Tensor], sizes: Sizes) -> tuple[list[Objects], None]:
        """An image at a time, whose crops are a batch."""
        found = []
        for image, places, size in zip(seen.images.split(1), proposals, sizes, strict=True):
            found.append(self._of_image(Seen(image, seen.trunk), places, size))
        return found, None

    def _of_image(self, seen: Seen, proposals: Tensor, size: tuple[int, int]) -> Objects:
        heads = self.roi_heads
        margins, deltas = self._judged(seen, [proposals], [size])
        places = clip_boxes_to_image(heads.box_coder.decode(deltas, [proposals]), size).flatten(0, 1)
        scores = margins.sigmoid().flatten()  # a margin of 0 is a score of 50%
        labels = torch.arange(margins.shape[1], device=margins.device).repeat(len(margins)) + FIRST
        sure = (scores > heads.score_thresh).nonzero()[:, 0]
        kept = sure[remove_small_boxes(places[sure], EMPTY)]
        best = kept[batched_nms(places[kept], scores[kept], labels[kept], heads.nms_thresh)][: heads.detections_per_img]
        return {"boxes": places[best], "scores": scores[best], "labels": labels[best]}


def warped(images: Tensor, boxes: list[Tensor], side: int) -> Tensor:
    """[boxes of all images, channels, side, side]: each with its context stretched to a square, interpolated
    bilinearly; beyond the image are zeros, the mean of what the network sees."""
    values, wide = widened(images), []
    for each in boxes:
        center, half = (each[:, :2] + each[:, 2:]) / 2, (each[:, 2:] - each[:, :2]) / 2 / (1 - 2 * CONTEXT)
        wide.append(torch.cat([center - half, center + half], 1).to(values))
    return roi_align(values, wide, side, sampling_ratio=2, aligned=True).to(images.dtype)


class CropRcnn(BoxNet):
    """Args:
    proposals: of an image, at most.
    crop, pooled, l2: see `CropHead`.
    more: keys of torchvision's FasterRCNN that say how proposals are chosen and judged, see `region_heads`.
    """

    def __init__(
        self,
        num_classes: int = 20,
        in_chans: int = 3,
        img_size: int | tuple[int, int] = 600,  # any: crops are of one size
        backbone: str = "resnet50",
        proposals: int = 200,
        crop: int = 32,
        pooled: int = 4,
        l2: float = 1e-4,
        pretrained_backbone: Mapping[str, Any] | None = None,
        **more: Any,
    ):
        head = partial(CropHead, num_classes=num_classes, crop=crop, pooled=pooled, l2=l2, more=more)
        super().__init__(head, num_classes, in_chans, backbone, _last, pretrained_backbone)
        self.propose = Proposals(proposals)

    def forward(self, images: Tensor) -> Detected:
        found: Detected = self.head(Seen(images, self._features), self.propose(images))
        return found

    def _features(self, crops: Tensor) -> Tensor:
        return self.maps(crops)[-1]


def _last(info: Info) -> list[int]:
    return last_of_each_stride(info)[-1:]


_CFG = default_cfg("backbone", (3, 600, 600), 20, classifier="head", fixed_input_size=True)
default_cfgs = generate_default_cfgs({"rcnn": _CFG})


@register_model
def rcnn(pretrained: bool = False, pretrained_cfg_overlay: Any = None, **kwargs: Any) -> nn.Module:
    """See `build_over`."""
    return build_over(CropRcnn, "rcnn", pretrained, pretrained_cfg_overlay, **kwargs)

"""Faster R-CNN (Ren et al. 2015, arXiv:1506.01497) and Mask R-CNN (He et al. 2017, arXiv:1703.06870) with a feature
pyramid (Lin et al. 2017, arXiv:1612.03144) over any network: torchvision's parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from timm.layers import to_2tuple
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import (
    maskrcnn_inference,
    maskrcnn_loss,
    paste_masks_in_image,
)
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import MultiScaleRoIAlign, roi_align
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from cnntrain.models.base import default_cfg
from cnntrain.models.box_net import (
    RATIOS,
    BoxHead,
    BoxNet,
    Detected,
    Maps,
    Objects,
    Pyramid,
    Targets,
    anchor_sizes,
    canvas,
    coarsest,
    drawing,
    objects,
    outlined,
    widened,
)
from cnntrain.models.box_regions import FIRST, RegionHead
from cnntrain.models.trunk import build_over

LAYERS = 4  # of convolutions before a mask


class TwoStages(RegionHead):
    """Proposals out of a pyramid of maps, and what each of them is.

    Args:
        side: pixels of images, for which anchors are made.
        anchors: see `box_net.anchor_sizes`.
        channels: of the pyramid's maps.
        hidden: features of a proposal.
        masks: channels of the layers that give each object one; None: there are no masks.
        more: keys of torchvision's FasterRCNN, such as ``box_batch_size_per_image``.
    """

    def __init__(
        self,
        depths: list[int],
        strides: list[int],
        *,
        num_classes: int,
        side: int,
        anchors: Sequence[float] | None,
        channels: int,
        hidden: int,
        masks: int | None,
        more: Mapping[str, Any],
    ):
        super().__init__()
        self.pyramid = Pyramid(depths, channels, LastLevelMaxPool())
        sizes = anchor_sizes([*strides, 2 * strides[-1]], side, anchors)
        generator = AnchorGenerator(tuple((each,) for each in sizes), (RATIOS,) * len(sizes))
        names = [str(number) for number in range(len(depths))]
        classes, side_of_box = num_classes + FIRST, 7
        parts: dict[str, Any] = {
            "box_roi_pool": MultiScaleRoIAlign(names, side_of_box, 2),
            "box_head": TwoMLPHead(channels * side_of_box**2, hidden),
            "box_predictor": FastRCNNPredictor(hidden, classes),
        }
        if masks is not None:
            parts["mask_roi_pool"] = MultiScaleRoIAlign(names, 2 * side_of_box, 2)
            parts["mask_head"] = MaskRCNNHeads(channels, (masks,) * LAYERS, 1)
            parts["mask_predictor"] = MaskRCNNPredictor(masks, masks, classes)
        kind = FasterRCNN if masks is None else MaskRCNN
        made = kind(self.pyramid, rpn_anchor_generator=generator, **parts, **more)
        self.rpn, self.roi_heads = made.rpn, made.roi_heads

    def forward(self, maps: list[Tensor], height: int, width: int) -> Detected:
        found, sizes = self.pyramid(maps), [(height, width)] * len(maps[0])
        by_level = self.rpn.head([*found.values()])
        if by_level[0][0].is_meta:
            return self._outlined(found)
        images, shapes = canvas([*found.values()], height, width)
        counts = [each[0].numel() for each in by_level[0]]
        objectness, deltas = (widened(each) for each in concat_box_prediction_layers(*by_level))
        anchors = self.rpn.anchor_generator(images, shapes)
        decoded = self.rpn.box_coder.decode(deltas.detach(), anchors).view(len(anchors), -1, 4)
        proposals, _ = self.rpn.filter_proposals(decoded, objectness, sizes, counts)
        pieces = objectness.view(len(anchors), -1), deltas.view(len(anchors), -1, 4)

        def losses(targets: Targets) -> Tensor:
            wanted = objects(targets, FIRST, self.roi_heads.has_mask())
            first = [self._of_proposals(*each) for each in zip(*pieces, anchors, wanted, strict=True)]
            return torch.stack(first) + self._of_objects(found, proposals, wanted, sizes)

        return self._detected(losses, found, proposals, sizes)

    def _outlined(self, maps: Maps) -> Detected:
        """Without values, by which layers are counted: as many proposals and masks as there can be at most."""
        heads, finest = self.roi_heads, maps["0"]

        def crops(pool: MultiScaleRoIAlign, each: int) -> Tensor:
            boxes = [finest.new_empty(each, 4)] * len(finest)
            return roi_align(finest, boxes, pool.output_size, sampling_ratio=pool.sampling_ratio)

        heads.box_predictor(heads.box_head(crops(heads.box_roi_pool, self.rpn.post_nms_top_n())))
        if heads.has_mask():
            heads.mask_predictor(heads.mask_head(crops(heads.mask_roi_pool, heads.detections_per_img)))
        return outlined(finest, heads.detections_per_img, self.training)

    def _of_proposals(self, objectness: Tensor, deltas: Tensor, anchors: Tensor, wanted: Objects) -> Tensor:
        """The loss of the first stage, of one image."""
        labels, matched = self.rpn.assign_targets_to_anchors([anchors], [wanted])
        places = self.rpn.box_coder.encode(matched, [anchors])
        with drawing(self.training, anchors.device):
            of_class, of_place = self.rpn.compute_loss(objectness, deltas, labels, places)
        return of_class + of_place

    def _of_objects(
        self, seen: Maps, proposals: list[Tensor], wanted: list[Objects], sizes: list[tuple[int, int]]
    ) -> Tensor:
        chosen = self._chosen(proposals, wanted)
        found = self._of_chosen(seen, chosen, sizes)
        if self.roi_heads.has_mask():
            found = [one + other for one, other in zip(found, self._of_masks(seen, chosen, wanted, sizes), strict=True)]
        return torch.stack(found)

    def _of_masks(
        self, maps: Maps, chosen: list[list[Tensor]], wanted: list[Objects], sizes: list[tuple[int, int]]
    ) -> list[Tensor]:
        """Of the masks of the proposals that are objects."""
        boxes, matched = [], []
        for places, each, labels, _ in chosen:
            boxes.append(places[labels > 0])
            matched.append(each[labels > 0])
        logits = self._masked(maps, boxes, sizes).split([*map(len, boxes)])
        rows = zip(logits, boxes, matched, wanted, strict=True)
        return [
            maskrcnn_loss(values, [places], [each["masks"]], [each["labels"]], [numbers])
            for values, places, numbers, each in rows
        ]

    def _masked(self, maps: Maps, boxes: list[Tensor], sizes: list[tuple[int, int]]) -> Tensor:
        heads = self.roi_heads
        return widened(heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(maps, boxes, sizes))))

    def _detections(
        self, seen: Maps, proposals: list[Tensor], sizes: list[tuple[int, int]]
    ) -> tuple[list[Objects], list[Tensor] | None]:
        found, _ = super()._detections(seen, proposals, sizes)
        if not self.roi_heads.has_mask():
            return found, None
        boxes = [each["boxes"] for each in found]
        masks = maskrcnn_inference(self._masked(seen, boxes, sizes), [each["labels"] for each in found])
        return found, [paste_masks_in_image(*each)[:, 0] for each in zip(masks, boxes, sizes, strict=True)]


class Rcnn(BoxNet):
    """Args:
    levels: maps of the trunk at most, of strides from 2 on.
    anchor_sizes: pixels a side of the anchors of each map and of the one that is added, the finest first; None: 8
        times the stride, but no larger than the image.
    channels: of the pyramid.
    hidden: features of a proposal.
    more: keys of torchvision's FasterRCNN that say how proposals are chosen and judged.
    """

    mask_channels: int | None = None

    def __init__(
        self,
        num_classes: int = 90,
        in_chans: int = 3,
        img_size: int | tuple[int, int] = 800,
        backbone: str = "resnet50",
        levels: int = 4,
        anchor_sizes: Sequence[float] | None = None,
        channels: int = 256,
        hidden: int = 1024,
        pretrained_backbone: Mapping[str, Any] | None = None,
        **more: Any,
    ):
        head: Callable[[list[int], list[int]], BoxHead] = partial(
            TwoStages,
            num_classes=num_classes,
            side=max(to_2tuple(img_size)),
            anchors=anchor_sizes,
            channels=channels,
            hidden=hidden,
            masks=self.mask_channels,
            more=more,
        )
        super().__init__(head, num_classes, in_chans, backbone, coarsest(levels), pretrained_backbone)


class MaskedRcnn(Rcnn):
    """With a mask of each object.

    Args:
        mask_channels: of the layers that give it.
    """

    has_masks = True

    def __init__(self, *args: Any, mask_channels: int = 256, **kwargs: Any):
        self.mask_channels = mask_channels  # before the head is made
        super().__init__(*args, **kwargs)


_CFG = default_cfg("backbone", (3, 800, 800), 90, classifier="head", fixed_input_size=True)
default_cfgs = generate_default_cfgs({"faster_rcnn": _CFG, "mask_rcnn": _CFG})


@register_model
def faster_rcnn(pretrained: bool = False, pretrained_cfg_overlay: Any = None, **kwargs: Any) -> nn.Module:
    """See `build_over`."""
    return build_over(Rcnn, "faster_rcnn", pretrained, pretrained_cfg_overlay, **kwargs)


@register_model
def mask_rcnn(pretrained: bool = False, pretrained_cfg_overlay: Any = None, **kwargs: Any) -> nn.Module:
    """See `build_over`."""
    return build_over(MaskedRcnn, "mask_rcnn", pretrained, pretrained_cfg_overlay, **kwargs)

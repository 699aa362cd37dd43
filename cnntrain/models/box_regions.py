"""What regions of images are, and where exactly: the stage after proposals, torchvision's parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss

from cnntrain.models.box_net import BoxHead, Detected, Objects, Targets, drawing, objects, rows, widened

FIRST = 1  # class of an object; 0 is the background
Sizes = list[tuple[int, int]]


def region_heads(
    pool: Any,
    head: Any,
    predictor: Any,
    *,
    box_score_thresh: float = 0.05,
    box_nms_thresh: float = 0.5,
    box_detections_per_img: int = 100,
    box_fg_iou_thresh: float = 0.5,
    box_bg_iou_thresh: float = 0.5,
    box_batch_size_per_image: int = 64,
    box_positive_fraction: float = 0.25,
) -> RoIHeads:
    """Torchvision's, by the keys of its FasterRCNN; 64 regions an image, a quarter of them objects, as in Fast
    R-CNN's paper."""
    return RoIHeads(
        pool,
        head,
        predictor,
        box_fg_iou_thresh,
        box_bg_iou_thresh,
        box_batch_size_per_image,
        box_positive_fraction,
        None,
        box_score_thresh,
        box_nms_thresh,
        box_detections_per_img,
    )


class RegionHead(BoxHead):
    """Judges proposals by `roi_heads`, of which an image's loss and its detections follow.

    `seen` is what the network has of a batch: the maps of its trunk, or the images themselves.
    """

    of_classes = ("roi_heads.box_predictor", "roi_heads.mask_predictor.mask_fcn_logits")
    roi_heads: Any

    @property
    def most(self) -> int:
        found: int = self.roi_heads.detections_per_img
        return found

    def _of_proposals_alone(self, seen: Any, proposals: list[Tensor], sizes: Sizes) -> Detected:
        """Where proposals are given, not learned."""

        def losses(targets: Targets) -> Tensor:
            return self._of_objects(seen, proposals, objects(targets, FIRST), sizes)

        return self._detected(losses, seen, proposals, sizes)

    def _detected(
        self, losses: Callable[[Targets], Tensor], seen: Any, proposals: list[Tensor], sizes: Sizes
    ) -> Detected:
        if self.training:
            return Detected(losses)
        found, masks = self._detections(seen, proposals, sizes)
        return Detected(losses, rows(found, FIRST, self.most), masks)

    def _of_objects(self, seen: Any, proposals: list[Tensor], wanted: list[Objects], sizes: Sizes) -> Tensor:
        """The loss of each image."""
        return torch.stack(self._of_chosen(seen, self._chosen(proposals, wanted), sizes))

    def _chosen(self, proposals: list[Tensor], wanted: list[Objects]) -> list[list[Tensor]]:
        """Of each image the regions that are learned from: boxes, numbers of their objects, labels, offsets."""
        found = []
        for places, each in zip(proposals, wanted, strict=True):
            with drawing(self.training, places.device):
                found.append([part[0] for part in self.roi_heads.select_training_samples([places], [each])])
        return found

    def _of_chosen(self, seen: Any, chosen: list[list[Tensor]], sizes: Sizes) -> list[Tensor]:
        boxes = [each[0] for each in chosen]
        counts = [*map(len, boxes)]
        parts = (each.split(counts) for each in self._judged(seen, boxes, sizes))
        return [
            self._loss(scores, deltas, labels, offsets)
            for scores, deltas, (_, _, labels, offsets) in zip(*parts, chosen, strict=True)
        ]

    def _loss(self, scores: Tensor, deltas: Tensor, labels: Tensor, offsets: Tensor) -> Tensor:
        of_class, of_place = fastrcnn_loss(scores, deltas, [labels], [offsets])
        return of_class + of_place

    def _judged(self, seen: Any, boxes: list[Tensor], sizes: Sizes) -> tuple[Tensor, Tensor]:
        """Scores [boxes, classes and the background] and offsets [boxes, as many times 4]."""
        heads = self.roi_heads
        scores, deltas = heads.box_predictor(heads.box_head(heads.box_roi_pool(seen, boxes, sizes)))
        return widened(scores), widened(deltas)

    def _detections(
        self, seen: Any, proposals: list[Tensor], sizes: Sizes
    ) -> tuple[list[Objects], list[Tensor] | None]:
        """Of each image, the surest first; and their masks, of a network that has them."""
        found = self.roi_heads.postprocess_detections(*self._judged(seen, proposals, sizes), proposals, sizes)
        names = ("boxes", "scores", "labels")
        return [dict(zip(names, each, strict=True)) for each in zip(*found, strict=True)], None

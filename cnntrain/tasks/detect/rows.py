"""What was found in an image and what is there, as rows of one table, from which every figure follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

NOTHING, FOUND, THERE, IGNORED = -1, 0, 1, 2  # what a row is: padding, a detection, an object, one that counts for none
KIND, CLASS, SCORE = 0, 1, 2
BOX = slice(3, 7)  # left, top, right, bottom; pixels of what the network sees
OVERLAPS = 7  # from here on: of a detection's mask with each object's
SURE = 0.5  # from which on a pixel is of a mask


@torch.no_grad()
def rows(boxes: Tensor, targets: Mapping[str, Tensor], masks: Sequence[Tensor] | None = None) -> Tensor:
    """float32 [batch, detections + objects, 7]; where masks are judged float64, in which an overlap of 13 of 20 pixels
    is one of 65%, and with one more column for each object.

    Args:
        boxes: detections [batch, detections, 6]: class, score and place; of class -1 there is none.
        masks: of each image [detections that there are, height, width], from 0 to 1.
    """
    count, most = targets["labels"].shape
    width, dtype = (OVERLAPS, torch.float32) if masks is None else (OVERLAPS + most, torch.float64)
    found = boxes.new_zeros(count, boxes.shape[1] + most, width, dtype=dtype)
    first, last = found[:, : boxes.shape[1]], found[:, boxes.shape[1] :]
    first[..., KIND] = torch.where(boxes[..., 0] < 0, NOTHING, FOUND)
    first[..., CLASS : BOX.stop] = boxes
    there = torch.where(targets["ignored"], IGNORED, THERE)
    last[..., KIND] = torch.where(targets["labels"] < 0, NOTHING, there)
    last[..., CLASS] = targets["labels"]
    last[..., BOX] = targets["boxes"]
    for number, each in enumerate(masks or ()):
        instances = targets["instances"][number]
        numbers = torch.arange(1, 1 + most, device=instances.device)
        objects = (instances[None] == numbers[:, None, None]).flatten(1)
        first[number, : len(each), OVERLAPS:] = _overlaps(each.flatten(1) >= SURE, objects, targets["ignored"][number])
    return found


def _overlaps(found: Tensor, there: Tensor, ignored: Tensor) -> Tensor:
    """Intersections over unions [detections, objects] of masks, bool [..., pixels]; with what is ignored over the
    detection's own pixels, as COCO has it."""
    one, other = found.float(), there.float()
    shared = one @ other.T
    own = one.sum(1)[:, None].expand_as(shared)
    whole = torch.where(ignored, own, own + other.sum(1) - shared)
    return shared.double() / whole.clamp(min=1)

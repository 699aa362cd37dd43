"""Boxes of objects that a crop has moved: what of them is left in the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

NONE = -1  # label of a row without an object: rows are as many for each image of a set
VISIBLE = 0.25  # of a box's area, from which on its object is still there
LEAST = 1.0  # pixels of its sides


def within(objects: Mapping[str, Any], height: int, width: int) -> dict[str, Any]:
    """Objects of an image of that size: boxes end at its rim, and those of which too little is left have no object.

    Args:
        objects: ``boxes`` [..., 4], left, top, right and bottom, and ``labels`` [...]; the rest stays as it is.
    """
    boxes, labels = objects["boxes"], objects["labels"]
    ends = torch.tensor([width, height, width, height], dtype=boxes.dtype, device=boxes.device)
    clipped = torch.minimum(boxes.clamp(min=0), ends)
    before, after = (each[..., 2:] - each[..., :2] for each in (boxes, clipped))
    seen = (after.prod(-1) >= VISIBLE * before.prod(-1)) & (after >= LEAST).all(-1)
    return {**objects, "boxes": clipped, "labels": torch.where(seen, labels, NONE)}

"""Objects of images: of each its box and its class, perhaps its pixels; as many rows for each image of a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torchvision import tv_tensors

from cnntrain.core.boxes import NONE, within
from cnntrain.data.batches.structure import plain

MOST_WITH_MASKS = 254  # objects of an image whose pixels have their numbers


@dataclass(frozen=True)
class Objects:
    """Those of an image.

    Attributes:
        boxes: float32 [n, 4]: left, top, right and bottom in pixels, right and bottom beyond the last.
        labels: int64 [n].
        ignored: bool [n]: from these nothing is learned, and nothing that is found there counts.
    """

    boxes: np.ndarray
    labels: np.ndarray
    ignored: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


class Pixels(Protocol):
    """Of each image, uint8 [height, width]."""

    def __getitem__(self, index: int) -> np.ndarray: ...


class Boxes:
    """A row of them, as `Targets`: a sample's are ``boxes``, ``labels``, of which `NONE` is a row without an object,
    ``ignored``, and where their pixels are known ``instances``, uint8 [height, width]: 1 and the number of the row.

    Args:
        most: rows of each image.
        sizes: heights and widths of the images [n, 2].
        instances: uint8 [n, height, width]; 0 and 255 are of no object.
    """

    def __init__(
        self,
        objects: Sequence[Objects],
        most: int,
        sizes: np.ndarray,
        instances: Pixels | None = None,
    ):
        self.objects = objects
        self.most = most
        self.sizes = sizes
        self.instances = instances

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, index: int) -> dict[str, Any]:
        each, size = self.objects[index], tuple(map(int, self.sizes[index]))
        boxes, labels = torch.zeros(self.most, 4), torch.full((self.most,), NONE)
        ignored = torch.zeros(self.most, dtype=torch.bool)
        boxes[: len(each)] = torch.from_numpy(each.boxes)
        labels[: len(each)] = torch.from_numpy(each.labels)
        ignored[: len(each)] = torch.from_numpy(each.ignored)
        found = {
            # not ended at the rim on their way: how much of them is left is asked at the end
            "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=size, clamping_mode=None),
            "labels": labels,
            "ignored": ignored,
        }
        if self.instances is not None:
            found["instances"] = tv_tensors.Mask(torch.from_numpy(self.instances[index].copy()))
        return found

    def joint(self, batch: Any) -> Any:
        masks = {"instances": tv_tensors.Mask(batch["instances"])} if "instances" in batch else {}
        return {**batch, **masks}

    def seen(self, target: Any) -> Any:
        height, width = target["boxes"].canvas_size
        found: dict[str, Any] = within(plain(target), height, width)
        return found

"""Boxes of objects in images without labels, by a trained network, drawn over what it sees of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks

from cnntrain.build.painting import Painter
from cnntrain.build.predicting import files
from cnntrain.core.files import write_atomic
from cnntrain.core.words import CELL, printable
from cnntrain.models.box_net import COLUMNS
from cnntrain.study.evaluation.palette import OPACITY, colours, png

SURE = 0.5  # score from which on a box is drawn
LEAST = 320  # pixels a side of a picture, so that names can be read


class Boxer(Painter):
    """Writes for each image ``<name>.png``, what the network sees of it with the boxes of which it is sure, and their
    masks where it gives such, in a new folder.

    Raises:
        InputError: the folder is there already.
    """

    def answers(self, names: Sequence[str]) -> Iterator[tuple[Tensor, list[str]]]:
        """A batch at a time a row an image: the pixels that the network sees, its detections, and where it gives masks
        for each pixel 1 and the number of the surest detection that has it, 0 of none; and for each file why it cannot
        be read, empty where it can."""

        def all_of(images: Tensor) -> Tensor:
            found = self.found.network(images)
            parts = [self.found.pictures(images), found.boxes.float()]
            if found.masks is not None:
                parts.append(torch.stack([_numbered(each) for each in found.masks]))
            return torch.cat([each.flatten(1) for each in parts], 1)

        return self.found.through(all_of, files(names)(self.found))

    def columns(self, names: Sequence[str], rows: Tensor) -> dict[str, Any]:
        """Write the pictures of some images; their rows: of each detection its class, its score and its place (left,
        top, right and bottom in pixels of what the network sees), the surest first."""
        columns: dict[str, Any] = {"image": [*names], "picture": [], "class": [], "score": [], "box": []}
        for name, row in zip(names, rows, strict=True):
            pixels, boxes, numbers = self._parts(row)
            boxes = boxes[boxes[:, 0] >= 0]
            path = self.folder / f"{self._free(Path(name).stem)}.png"
            write_atomic(path, self._drawn(pixels, boxes[boxes[:, 1] >= SURE], numbers))
            columns["picture"].append(str(path))
            columns["class"].append([self.found.classes[int(each)] for each in boxes[:, 0].tolist()])
            columns["score"].append(boxes[:, 1].tolist())
            columns["box"].append(boxes[:, 2:].tolist())
        return columns

    def _parts(self, row: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Pixels [1 or 3, side, side] from 0 to 1, detections, and numbers of masks [side, side]."""
        side, network = self.found.seen.image_size, self.found.network
        count = side * side
        masks = count if getattr(network, "has_masks", False) else 0
        channels = 1 if self.found.seen.channels == 1 else 3
        pixels, boxes, numbers = row.split([channels * count, len(row) - channels * count - masks, masks])
        found = numbers.view(side, side).int() if masks else None
        return pixels.view(channels, side, side), boxes.view(-1, COLUMNS), found

    def _drawn(self, pixels: Tensor, boxes: Tensor, numbers: Tensor | None) -> bytes:
        times = ceil(LEAST / pixels.shape[-1])
        picture = (255 * pixels.expand(3, -1, -1)).round().to(torch.uint8)
        picture = picture.repeat_interleave(times, 1).repeat_interleave(times, 2)
        table = colours(len(self.found.classes) + 1)[1:]
        shades = [tuple(map(int, table[int(each)])) for each in boxes[:, 0].tolist()]
        if numbers is not None and len(boxes):
            large = numbers.repeat_interleave(times, 0).repeat_interleave(times, 1)
            masks = large[None] == torch.arange(1, 1 + len(boxes))[:, None, None]
            picture = draw_segmentation_masks(picture, masks, alpha=OPACITY, colors=shades)
        if len(boxes):
            words = [
                f"{printable(self.found.classes[int(number)], CELL)} {score:.0%}"
                for number, score in boxes[:, :2].tolist()
            ]
            picture = draw_bounding_boxes(picture, times * boxes[:, 2:], words, shades, width=2)
        return png(Image.fromarray(np.ascontiguousarray(picture.permute(1, 2, 0).numpy())))


def _numbered(masks: Tensor) -> Tensor:
    """Of masks [detections, height, width], the surest first, float [height, width]."""
    found = masks.new_zeros(masks.shape[-2:], dtype=torch.float32)
    for number in reversed(range(len(masks))):
        found[masks[number] >= SURE] = number + 1
    return found


def lines(columns: dict[str, Any], first: bool) -> str:
    """For people, of what is drawn."""
    text = ""
    for path, names, scores in zip(columns["picture"], columns["class"], columns["score"], strict=True):
        pairs = zip(names, scores, strict=True)
        words = [f"{printable(name, CELL)} {score:.1%}" for name, score in pairs if score >= SURE]
        text += f"{printable(path)}  {', '.join(words) or 'nothing'}\n"
    return text

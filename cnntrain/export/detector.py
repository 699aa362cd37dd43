"""A detector as a graph, an image at a time, and such a graph as a network."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.export.graphs import Graph
from cnntrain.export.inputs import OfImages
from cnntrain.export.one_graph import one_graph
from cnntrain.export.program import Computing
from cnntrain.models.box_net import Detected, rows

BOXES, MASKS = ("boxes", "scores", "labels"), "masks"


class Detector(Computing):
    """An image, uint8 [1, height, width, channels], to what is found in it, the surest first: boxes, float32
    [detections, 4], left, top, right and bottom in pixels of what the network sees; scores, float32 [detections];
    labels, int64 [detections], positions in the classes; perhaps masks, float32 [detections, size, size]."""

    name = "images"
    sizes = (None, "height", "width")

    def __init__(self, seen: OfImages, network: Any):
        super().__init__()
        self.results = (*BOXES, *([MASKS] if network.has_masks else []))
        self.seen = seen
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        found = self.network(self.seen(images))
        table = found.boxes[0]
        table = table[table[:, 0] >= 0]
        masks = () if found.masks is None else (found.masks[0],)
        return table[:, 2:], table[:, 1], table[:, 0].long(), *masks

    def example(self) -> Tensor:
        return self.seen.example()[:1]

    def followed(self) -> AbstractContextManager[None]:
        return one_graph(self.seen.seen.size)


class GraphDetector(nn.Module):
    """A row of images, uint8 [height, width, channels] each, to `Detected`, whose losses are no numbers: a graph has
    none.

    Args:
        most: detections of an image.
    """

    def __init__(self, graph: Graph, most: int, has_masks: bool):
        super().__init__()
        self._graph = graph
        self.most = most
        self.has_masks = has_masks

    def forward(self, images: Sequence[Tensor]) -> Detected:
        found = [[torch.from_numpy(each) for each in self._graph(image[None].numpy())] for image in images]
        tables = rows([dict(zip(BOXES, each, strict=False)) for each in found], 0, self.most)
        masks = [each[-1] for each in found] if self.has_masks else None
        return Detected(lambda targets: torch.full((len(found),), torch.nan), tables, masks)

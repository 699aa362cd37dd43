"""What goes into a graph, as arrays of any number and, but for signals, of any size; and what a network sees of it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.export.preprocessing import SeenInGraph

BATCH = "batch"


def laid_out(sample: Tensor) -> np.ndarray:
    """A sample of a data set as a graph takes it, without the batch: an image [height, width, channels], a volume
    [frames, height, width, channels], a signal [channels, length] as it is."""
    values = sample if sample.ndim == 2 else sample.movedim(0, -1)
    return np.ascontiguousarray(values.numpy())


class Inputs(nn.Module):
    """A graph's input to normalised float32, [batch, *shape of what the network sees].

    `name` is the input's, and `sizes` are the names of its first dimensions, which may be any number.
    """

    name: ClassVar[str]
    sizes: ClassVar[tuple[str, ...]]

    def example(self) -> Tensor:
        """An input of which no two sides that may be any number are alike."""
        raise NotImplementedError


class OfImages(Inputs):
    """uint8 [batch, height, width, channels]."""

    name = "images"
    sizes = (BATCH, "height", "width")

    def __init__(self, seen: Preprocess):
        super().__init__()
        self.channels = seen.channels
        self.seen = SeenInGraph(seen)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.seen(images)
        return found

    def example(self) -> Tensor:
        return torch.zeros(2, self.seen.size + 7, self.seen.size + 3, self.channels, dtype=torch.uint8)


class OfVolumes(Inputs):
    """uint8 [batch, frames, height, width, channels]: of the frames those that `shaped.Frames` takes, each seen as an
    image."""

    name = "volumes"
    sizes = (BATCH, "frames", "height", "width")

    def __init__(self, seen: Preprocess):
        super().__init__()
        self.frames = seen.shape[1]
        self.of_frames = OfImages(seen)

    def forward(self, volumes: Tensor) -> Tensor:
        places = (2 * torch.arange(self.frames) + 1) * volumes.shape[1] // (2 * self.frames)
        frames = self.of_frames(volumes[:, places].flatten(0, 1))
        found: Tensor = frames.unflatten(0, (-1, self.frames)).transpose(1, 2)
        return found

    def example(self) -> Tensor:
        each = self.of_frames.example()
        return each[:, None].expand(-1, each.shape[1] + 4, -1, -1, -1).clone()


class OfSignals(Inputs):
    """float32 [batch, channels, length], of the one length that the run's have."""

    name = "signals"
    sizes = (BATCH,)

    def __init__(self, seen: Preprocess):
        super().__init__()
        self.scale: Tensor
        self.shift: Tensor
        self.shape = seen.shape
        mean, std = (torch.tensor(each, dtype=torch.float64).view(-1, 1) for each in (seen.mean, seen.std))
        self.register_buffer("scale", (1 / std).float(), persistent=False)
        self.register_buffer("shift", (-mean / std).float(), persistent=False)

    def forward(self, signals: Tensor) -> Tensor:
        return torch.addcmul(self.shift, signals, self.scale)

    def example(self) -> Tensor:
        return torch.zeros(2, *self.shape)


BY_DIMENSIONS: dict[int, type[Inputs]] = {1: OfSignals, 2: OfImages, 3: OfVolumes}


def of(seen: Preprocess) -> Inputs:
    return BY_DIMENSIONS[seen.dimensions](seen)

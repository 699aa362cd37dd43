"""Samples as a worker process makes them: a part of a data set seen through a transform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate
from torchvision.transforms.v2 import functional

from cnntrain.core.draws import Draws
from cnntrain.data.batches.planes import joined, pictures
from cnntrain.data.sets.dataset import Part

# a whole sample to one: an image, uint8 or uint16 [channels, height, width], and its target, a mask or boxes perhaps
Transform = Callable[[Any, Any], tuple[Any, Any]]
# the same with the numbers that were drawn for it
DrawnTransform = Callable[[Any, Any, Draws], tuple[Any, Any]]
# the same of many at once, on the device
BatchTransform = Callable[[Tensor, Any, Draws], tuple[Tensor, Any]]


class Mixing(Protocol):
    """Of pairs of samples, once they are normalised."""

    def partners(self, draws: Draws, count: int) -> Tensor:
        """int64 [samples]: with which of a part's `count` samples each is mixed."""
        ...

    def __call__(
        self, images: Tensor, labels: Tensor, others: Tensor, their: Tensor, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        """Images and targets of samples and of their partners to mixed ones; `draws` are of the samples."""
        ...


@dataclass(frozen=True)
class Packing:
    """Seeing images, of which each epoch takes other crops, from memory all the same.

    Attributes:
        side: pixels, to which both sides of each image are brought.
        transform: of packed images, uint8 [images, channels, side, side], with their heights and widths before.
        least: pixels of the shorter side that images are decoded with; None: all.
    """

    side: int
    transform: Callable[[Tensor, Tensor, Draws], Tensor]
    least: int | None = None

    def __call__(self, image: Any, target: Any) -> tuple[Tensor, Tensor]:
        """An image, packed, and its height and width, int32 [2]."""
        small = [functional.resize(each, [self.side, self.side]) for each in pictures(image)]
        return joined(small, image.dtype), torch.tensor(image.shape[-2:], dtype=torch.int32)


@dataclass(frozen=True)
class Varied:
    """How samples are seen otherwise in each epoch.

    Attributes:
        seed: by which all their numbers are drawn.
        transform: of the images of a batch.
        mixing: of the samples with others of the part, of which as many are read.
        packing: of the images, where they can be seen from memory although they are not read alike.
    """

    seed: int
    transform: BatchTransform | None = None
    mixing: Mixing | None = None
    packing: Packing | None = None


class Samples(Dataset[Any]):
    """A part seen through a transform; asked for a batch as (epoch, positions), so that a worker needs no state.

    Args:
        transform: of one sample. Where it has an attribute `least`, it needs no more pixels than that of an image's
            shorter side, and JPEG files are decoded so.
        seed: by which numbers are drawn for it, for each epoch others; None: none are.
    """

    def __init__(self, part: Part, transform: Transform | DrawnTransform, seed: int | None):
        least: int | None = getattr(transform, "least", None)
        self.part = part if least is None else part.at_least(least)
        self.transform: Callable[..., tuple[Any, Any]] = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, key: tuple[int, Sequence[int]]) -> tuple[Any, Any] | None:
        """Images and targets, stacked; None for a batch of nothing."""
        epoch, positions = key
        return default_collate([self.sample(epoch, each) for each in positions]) if positions else None

    def sample(self, epoch: int, position: int) -> tuple[Any, Any]:
        image, target = self._seen(epoch, position)
        return image, target if self.part.targets is None else self.part.targets.seen(target)

    def _seen(self, epoch: int, position: int) -> tuple[Any, Any]:
        image, target = self.part.sample(position)
        if self.seed is None:
            return self.transform(image, target)
        return self.transform(image, target, Draws(self.seed, epoch, torch.tensor([position])))

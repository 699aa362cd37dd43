"""Samples as a worker process makes them: a part of a data set seen through a transform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cnntrain.core import seeds
from cnntrain.data.sets.dataset import Part

Batch = tuple[Any, Tensor]  # images, or what stands for them; and labels


class Samples(Dataset[Batch]):
    """A part seen through a transform; asked for (epoch, index), so that a worker process needs no state.

    With `seed` the transform's randomness is that of (seed, epoch, index).
    """

    def __init__(self, part: Part, transform: Callable[[Tensor], Tensor], seed: int | None):
        self.part = part
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, index = key
        image = self.part.images[index]
        label = torch.tensor(int(self.part.labels[index]))
        if self.seed is None:
            return self.transform(image), label
        with seeds.cpu_seed(self.seed, "augment", epoch, index):
            return self.transform(image), label

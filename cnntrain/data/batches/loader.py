"""Batches of images on the device: read, augmented, normalised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from cnntrain.core.draws import Draws
from cnntrain.data.batches.feed import Batch
from cnntrain.data.batches.plan import Plan
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.reader import Reader, Source
from cnntrain.data.batches.samples import BatchTransform, Samples


class Loader:
    """Iterates over a part in a plan's order.

    Args:
        transform: of the images of a batch.
        seed: by which its numbers are drawn, and those of the samples; None: what is seen is the same in each epoch.
        memory_format: of the batches.
    """

    def __init__(
        self,
        samples: Samples,
        workers: int,
        preprocess: Preprocess,
        device: torch.device,
        dtype: torch.dtype,
        transform: BatchTransform | None = None,
        seed: int | None = None,
        memory_format: torch.memory_format = torch.contiguous_format,
    ):
        self.samples = samples
        self.preprocess = preprocess
        self.device = device
        self.dtype = dtype
        self.transform = transform
        self.seed = seed
        self.memory_format = memory_format
        self.source: Source = Reader(samples, workers, device)

    @property
    def waited(self) -> float:
        return self.source.waited

    @property
    def reads_alike(self) -> bool:
        """Whether each epoch reads the same images, whatever is done to them afterwards."""
        return self.samples.seed is None

    def batches(self, plan: Plan) -> Iterator[Batch]:
        """Images (normalised, on the device) and targets for each batch of `plan`.

        Raises:
            InputError: an image cannot be read.
        """
        for loaded, positions in zip(self.source.batches(plan), plan, strict=False):
            yield Batch(None, None, 0) if loaded is None else self._on_device(*loaded, plan.epoch, positions)

    def first(self, count: int) -> Tensor:
        """The first images as they are seen in the first epoch, read in this process."""
        count = min(count, len(self.samples))
        loaded = self.samples[0, range(count)]
        assert loaded is not None, "a part is not empty"
        return self._on_device(*loaded, 0, torch.arange(count)).inputs

    def _on_device(self, images: Tensor, targets: Any, epoch: int, positions: Tensor) -> Batch:
        images, targets, positions = (each.to(self.device, non_blocking=True) for each in (images, targets, positions))
        if self.transform is not None and self.seed is not None:
            images, targets = self.transform(images, targets, Draws(self.seed, epoch, positions))
        images = images.contiguous(memory_format=self.memory_format)
        return Batch(self.preprocess(images, self.device, self.dtype), targets, len(images))

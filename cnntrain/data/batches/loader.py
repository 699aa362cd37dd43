"""Batches of images on the device: read, augmented, normalised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from cnntrain.core.draws import Draws
from cnntrain.data.batches.feed import Batch
from cnntrain.data.batches.plan import WHOLE, Plan, eval_plan
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.reader import Reader, Source
from cnntrain.data.batches.samples import BatchTransform, Mixing, Packing, Samples


class Loader:
    """Iterates over a part in a plan's order.

    Args:
        transform: of the images of a batch.
        seed: by which its numbers are drawn, and those of the samples; None: what is seen is the same in each epoch.
        memory_format: of the batches.
        packing: of the images, where they can be seen from memory although `samples` are not read alike.
        mixing: of the samples with others of the part, of which as many are read.
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
        mixing: Mixing | None = None,
        packing: Packing | None = None,
    ):
        self.samples = samples
        self.preprocess = preprocess
        self.device = device
        self.dtype = dtype
        self.transform = transform
        self.seed = seed
        self.memory_format = memory_format
        self.mixing = mixing
        self.packing = packing
        self.is_packed = False  # then `source` gives packed images, and with their targets their sizes
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
        plan = self._with_partners(plan)
        for loaded, positions in zip(self.source.batches(plan), plan, strict=False):
            yield Batch(None, None, 0) if loaded is None else self._batch(*loaded, plan.epoch, positions)

    def first(self, count: int) -> Tensor:
        """The first images as they are seen in the first epoch, read in this process or from memory."""
        (positions,) = plan = self._with_partners(eval_plan(min(count, len(self.samples)), count, WHOLE))
        alone: Iterator[tuple[Tensor, Any] | None] = iter([self.samples[0, positions.tolist()]])
        loaded = next(self.source.batches(plan) if self.is_packed else alone)
        assert loaded is not None, "a part is not empty"
        return self._batch(*loaded, plan.epoch, positions).inputs

    def _with_partners(self, plan: Plan) -> Plan:
        """Each batch with as many samples after it: those with which its own are mixed."""
        if self.mixing is None or self.seed is None:
            return plan
        partners = self.mixing.partners(Draws(self.seed, plan.epoch, plan.order), len(self.samples))
        halves = [each for pair in zip(plan, replace(plan, order=partners), strict=True) for each in pair]
        ends = 2 * (plan.ends - plan.starts).cumsum(0)
        return Plan(plan.epoch, torch.cat(halves), ends - 2 * (plan.ends - plan.starts), ends)

    def _batch(self, images: Tensor, targets: Any, epoch: int, positions: Tensor) -> Batch:
        inputs, targets = self._on_device(images, targets, epoch, positions)
        if self.mixing is None or self.seed is None:
            return Batch(inputs, targets, len(inputs))
        count = len(inputs) // 2
        draws = Draws(self.seed, epoch, positions[:count])
        inputs, targets = self.mixing(inputs[:count], targets[:count], inputs[count:], targets[count:], draws)
        return Batch(inputs, targets, count)

    def _on_device(self, images: Tensor, targets: Any, epoch: int, positions: Tensor) -> tuple[Tensor, Any]:
        images, positions = (each.to(self.device, non_blocking=True) for each in (images, positions))
        if self.is_packed and self.packing is not None and self.seed is not None:
            targets, sizes = targets
            sizes = sizes.to(self.device, non_blocking=True)
            images = self.packing.transform(images, sizes, Draws(self.seed, epoch, positions))
        targets = targets.to(self.device, non_blocking=True)
        if self.transform is not None and self.seed is not None:
            images, targets = self.transform(images, targets, Draws(self.seed, epoch, positions))
        images = images.contiguous(memory_format=self.memory_format)
        return self.preprocess(images, self.device, self.dtype), targets

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
from cnntrain.data.batches.samples import Packing, Samples, Varied

TOGETHER = 32  # batches


class Loader:
    """Iterates over a part in a plan's order.

    Args:
        memory_format: of the batches.
        varied: what each epoch does otherwise; None: all see the same.
    """

    def __init__(
        self,
        samples: Samples,
        workers: int,
        preprocess: Preprocess,
        device: torch.device,
        dtype: torch.dtype,
        memory_format: torch.memory_format = torch.contiguous_format,
        varied: Varied | None = None,
    ):
        self.samples = samples
        self.preprocess = preprocess
        self.device = device
        self.dtype = dtype
        self.memory_format = memory_format
        self.varied = varied
        self.is_packed = False  # then `source` gives packed images, and with their targets their sizes
        self.source: Source = Reader(samples, workers, device)

    @property
    def waited(self) -> float:
        return self.source.waited

    @property
    def packing(self) -> Packing | None:
        return None if self.varied is None else self.varied.packing

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
        for loaded, draws in zip(self.source.batches(plan), self._draws(plan), strict=False):
            yield Batch(None, None, 0) if loaded is None else self._batch(*loaded, draws)

    def first(self, count: int) -> Tensor:
        """The first images as they are seen in the first epoch, read in this process or from memory."""
        (positions,) = plan = self._with_partners(eval_plan(min(count, len(self.samples)), count, WHOLE))
        alone: Iterator[tuple[Tensor, Any] | None] = iter([self.samples[0, positions.tolist()]])
        loaded = next(self.source.batches(plan) if self.is_packed else alone)
        assert loaded is not None, "a part is not empty"
        return self._batch(*loaded, next(self._draws(plan))).inputs

    def _draws(self, plan: Plan) -> Iterator[Draws | None]:
        """Of the samples of each batch; those of some batches are drawn together, which costs little more than one."""
        for start in range(0, len(plan), TOGETHER):
            batches, end = [*plan[start : start + TOGETHER]], 0
            draws = (
                None if self.varied is None else Draws(self.varied.seed, plan.epoch, torch.cat(batches), self.device)
            )
            for each in batches:
                end += len(each)
                yield None if draws is None else draws.stretch(end - len(each), end)

    def _with_partners(self, plan: Plan) -> Plan:
        """Each batch with as many samples after it: those with which its own are mixed."""
        varied = self.varied
        if varied is None or varied.mixing is None:
            return plan
        partners = varied.mixing.partners(Draws(varied.seed, plan.epoch, plan.order), len(self.samples))
        halves = [each for pair in zip(plan, replace(plan, order=partners), strict=True) for each in pair]
        ends = 2 * (plan.ends - plan.starts).cumsum(0)
        return Plan(plan.epoch, torch.cat(halves), ends - 2 * (plan.ends - plan.starts), ends)

    def _batch(self, images: Tensor, targets: Any, draws: Draws | None) -> Batch:
        inputs, targets = self._on_device(images, targets, draws)
        if draws is None or self.varied is None or self.varied.mixing is None:
            return Batch(inputs, targets, len(inputs))
        count = len(inputs) // 2
        ours, theirs = (inputs[:count], targets[:count]), (inputs[count:], targets[count:])
        inputs, targets = self.varied.mixing(*ours, *theirs, draws.stretch(0, count))
        return Batch(inputs, targets, count)

    def _on_device(self, images: Tensor, targets: Any, draws: Draws | None) -> tuple[Tensor, Any]:
        sizes = None
        if self.is_packed:
            targets, sizes = targets
        images = images.to(self.device, non_blocking=True)
        if isinstance(targets, Tensor):  # words, of images without labels, are on no device
            targets = targets.to(self.device, non_blocking=True)
        if self.varied is not None and draws is not None:
            if images.dtype == torch.uint16:  # for which torch has few operations
                images = images.to(torch.int32)
            images, targets = self._varied(self.varied, images, targets, sizes, draws)
        images = images.contiguous(memory_format=self.memory_format)
        return self.preprocess(images, self.device, self.dtype), targets

    def _varied(
        self, varied: Varied, images: Tensor, targets: Any, sizes: Tensor | None, draws: Draws
    ) -> tuple[Tensor, Any]:
        if varied.packing is not None and sizes is not None:
            images = varied.packing.transform(images, sizes.to(self.device, non_blocking=True), draws)
        return (images, targets) if varied.transform is None else varied.transform(images, targets, draws)

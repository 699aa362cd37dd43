"""Batches of images on the device: read, augmented, normalised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from cnntrain.core import cores
from cnntrain.core.draws import Draws
from cnntrain.data.batches.ahead import ahead
from cnntrain.data.batches.feed import Batch
from cnntrain.data.batches.plan import WHOLE, Plan, eval_plan
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.reader import Reader, Source
from cnntrain.data.batches.samples import Packing, Samples, Varied
from cnntrain.data.batches.structure import plain, sent, taken

TOGETHER = 32  # batches
AT_ONCE = 64 << 20  # bytes of normalised images


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
        self._waited = 0.0  # for batches that are made ahead
        self._has_cores = cores.usable() > 1

    @property
    def waited(self) -> float:
        return self._waited if self._is_ahead else self.source.waited

    @property
    def dense(self) -> Any:
        """The first sample's target, whose structure, shapes and types all have, where it is more than labels: read
        with its image, whose geometry it shares; else None."""
        return None if self.samples.part.targets is None else self.samples.sample(0, 0)[1]

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
        yield from ahead(self._made(plan), self._note_wait) if self._is_ahead else self._made(plan)

    def _note_wait(self, seconds: float) -> None:
        self._waited += seconds

    @property
    def _is_light(self) -> bool:
        """Whether what is done to an image is little, and the same to the bit whatever is beside it."""
        transform = None if self.varied is None else self.varied.transform
        return self.packing is None and (transform is None or getattr(transform, "alone", False))

    @property
    def _is_ahead(self) -> bool:
        """Whether a batch is made while the step before it is computed, which leaves cores idle here and there. What is
        much to do is done in between, with all cores."""
        return self.source.in_memory and self.device.type == "cpu" and self._is_light and self._has_cores

    def _made(self, plan: Plan) -> Iterator[Batch]:
        plan = self._with_partners(plan)
        count = self._at_once(plan)
        loaded = self.source.batches(plan if count == 1 else plan.together(count))
        for number, draws in enumerate(self._draws(plan, count)):
            several = plan[number * count : (number + 1) * count]
            yield from self._batches(next(loaded), draws, (several.ends - several.starts).tolist())

    def _at_once(self, plan: Plan) -> int:
        """How many batches are made by the same operations. To ask a GPU for an operation takes longer than that does
        on a few small images; a CPU has them in its cache."""
        if not self.source.on_gpu or not self._is_light or len(plan) == 0:
            return 1
        largest = int((plan.ends - plan.starts).max())
        size = largest * self.preprocess.channels * self.preprocess.image_size**2 * self.dtype.itemsize
        return max(1, min(TOGETHER, AT_ONCE // max(1, size)))

    def first(self, count: int) -> Tensor:
        """The first images as they are seen in the first epoch, read in this process or from memory."""
        (positions,) = plan = self._with_partners(eval_plan(min(count, len(self.samples)), count, WHOLE))
        alone: Iterator[tuple[Tensor, Any] | None] = iter([self.samples[0, positions.tolist()]])
        loaded = next(self.source.batches(plan) if self.is_packed else alone)
        (batch,) = self._batches(loaded, next(self._draws(plan)), [len(positions)])
        return batch.inputs

    def _draws(self, plan: Plan, count: int = 1) -> Iterator[Draws | None]:
        """Of the samples of `count` batches at a time; those of some are drawn together, which costs little more than
        those of one."""
        together = TOGETHER // count * count
        for start in range(0, len(plan), together):
            sizes = [*map(len, plan[start : start + together])]
            several = [sum(sizes[first : first + count]) for first in range(0, len(sizes), count)]
            if self.varied is None:
                yield from (None for _ in several)
                continue
            positions, end = torch.cat([*plan[start : start + together]]), 0
            draws = Draws(self.varied.seed, plan.epoch, positions, self.device)
            for each in several:
                end += each
                yield draws.stretch(end - each, end)

    def _with_partners(self, plan: Plan) -> Plan:
        """Each batch with as many samples after it: those with which its own are mixed."""
        varied = self.varied
        if varied is None or varied.mixing is None or not len(plan):  # a run may go on behind an epoch's last step
            return plan
        partners = varied.mixing.partners(Draws(varied.seed, plan.epoch, plan.order), len(self.samples))
        halves = [each for pair in zip(plan, replace(plan, order=partners), strict=True) for each in pair]
        ends = 2 * (plan.ends - plan.starts).cumsum(0)
        return Plan(plan.epoch, torch.cat(halves), ends - 2 * (plan.ends - plan.starts), ends)

    def _batches(self, loaded: tuple[Tensor, Any] | None, draws: Draws | None, sizes: list[int]) -> Iterator[Batch]:
        """Batches of so many samples each, of what was loaded for all of them."""
        made, end = None if loaded is None else self._on_device(*loaded, draws), 0
        for size in sizes:
            place = slice(end, end + size)
            if made is None or not size:
                yield Batch(None, None, 0)
            else:
                inputs, targets = (made[0][place], taken(made[1], place)) if len(sizes) > 1 else made
                yield self._mixed(inputs, targets, draws if draws is None else draws.stretch(place.start, place.stop))
            end += size

    def _mixed(self, inputs: Tensor, targets: Any, draws: Draws | None) -> Batch:
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
        targets = sent(targets, self.device)  # words, of images without labels, are on no device
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
            images = varied.packing.transform(images, sizes, draws)
        if varied.transform is None:
            return images, targets
        dense = self.samples.part.targets
        if dense is None:
            return varied.transform(images, targets, draws)
        images, targets = varied.transform(images, dense.joint(targets), draws)
        return images, plain(targets)

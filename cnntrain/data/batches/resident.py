"""Samples whose images are all in memory: a batch of them is one gather."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from cnntrain.core import mapped
from cnntrain.data.batches.plan import Plan
from cnntrain.data.batches.structure import each_of, sent, taken


class Resident:
    """A part in memory.

    Args:
        images: uint8, uint16 or float32 [images, channels, ...], or with the channels last.
        targets: [samples, ...], or a structure of such.
        rows: int64 [samples], where in `images` each sample is; None: in their order.
        sizes: [images, 2], where the targets of a batch are to be (targets, sizes), these on the CPU.
        device: to which batches are going, where that is not where the images are.
        beyond_memory: whether the images are mapped from a file that is larger than the memory; without `rows`.
    """

    in_memory = True

    def __init__(
        self,
        images: Tensor,
        targets: Any,
        rows: Tensor | None,
        channels_last: bool,
        device: torch.device,
        sizes: Tensor | None = None,
        beyond_memory: bool = False,
    ):
        self.images = images
        self.targets = sent(targets, images.device)
        self.rows = rows if rows is None else rows.to(images.device)
        self.sizes = sizes
        self.channels_last = channels_last
        self.on_gpu = images.device.type == "cuda"
        self.pinned = device.type == "cuda" and images.device.type == "cpu"
        self.beyond_memory = beyond_memory
        if beyond_memory:
            assert rows is None, "rows are announced as they lie in the file"
            mapped.read_apart(images)
        self.workers = 0
        self.waited = 0.0

    def batches(self, plan: Plan) -> Iterator[tuple[Tensor, Any] | None]:
        """Images and targets for each batch of `plan`; None for a batch of none."""
        there = plan.to(self.images.device)
        for here, positions in zip(plan, self._announced(there) if self.beyond_memory else there, strict=True):
            start = time.perf_counter()
            found = self._batch(positions, here) if len(positions) else None
            self.waited += time.perf_counter() - start
            yield found

    def _announced(self, plan: Plan) -> Iterator[Tensor]:
        """Its batches; the disk begins to read each while the one before it is computed."""
        before: Tensor | None = None
        for positions in plan:
            mapped.announce(self.images, positions)
            if before is not None:
                yield before
            before = positions
        if before is not None:
            yield before

    def _batch(self, positions: Tensor, here: Tensor) -> tuple[Tensor, Any]:
        kind = self.images.dtype
        held = self.images.view(torch.int16) if kind == torch.uint16 else self.images  # a kernel of any device
        images = held.index_select(0, positions if self.rows is None else self.rows[positions]).view(kind)
        targets = taken(self.targets, positions)
        if self.pinned:  # so that what computes goes on while they are copied
            images, targets = images.pin_memory(), each_of(Tensor.pin_memory, targets)
        images = images.movedim(-1, 1) if self.channels_last else images
        return images, targets if self.sizes is None else (targets, self.sizes[here])

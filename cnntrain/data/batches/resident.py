"""Samples whose images are all in memory: a batch of them is one gather."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from cnntrain.data.batches.plan import Plan


class Resident:
    """A part in memory.

    Args:
        images: uint8 or uint16 [images, channels, height, width], or with the channels last.
        targets: [samples].
        rows: int64 [samples], where in `images` each sample is; None: in their order.
        sizes: [images, 2], where the targets of a batch are to be (targets, sizes).
        device: to which batches are going, where that is not where the images are.
    """

    def __init__(
        self,
        images: Tensor,
        targets: Tensor,
        rows: Tensor | None,
        channels_last: bool,
        device: torch.device,
        sizes: Tensor | None = None,
    ):
        self.images = images
        self.targets = targets.to(images.device)
        self.rows = rows if rows is None else rows.to(images.device)
        self.sizes = sizes if sizes is None else sizes.to(images.device)
        self.channels_last = channels_last
        self.pinned = device.type == "cuda" and images.device.type == "cpu"
        self.workers = 0
        self.waited = 0.0

    def batches(self, plan: Plan) -> Iterator[tuple[Tensor, Any] | None]:
        """Images and targets for each batch of `plan`; None for a batch of none."""
        for positions in plan.to(self.images.device):
            start = time.perf_counter()
            found = self._batch(positions) if len(positions) else None
            self.waited += time.perf_counter() - start
            yield found

    def _batch(self, positions: Tensor) -> tuple[Tensor, Any]:
        kind = self.images.dtype
        held = self.images.view(torch.int16) if kind == torch.uint16 else self.images  # a kernel of any device
        images = held.index_select(0, positions if self.rows is None else self.rows[positions]).view(kind)
        targets = self.targets[positions]
        if self.pinned:  # so that what computes goes on while they are copied
            images, targets = images.pin_memory(), targets.pin_memory()
        images = images.permute(0, 3, 1, 2) if self.channels_last else images
        return images, targets if self.sizes is None else (targets, self.sizes[positions])

"""Feeds of the values at the cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnntrain.data.batches.feed import Batch
from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.plan import Plan
from cnntrain.data.batches.structure import sent, taken

Values = Callable[[Tensor], tuple[Tensor, ...]]


class Prefix:
    """The frozen part: images on the device to the values at the cut."""

    def __init__(self, graph: Values, precision: AbstractContextManager[Any]):
        self.graph = graph
        self.precision = precision

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        with self.precision:
            return self.graph(images)


class Computed:
    """The values at the cut, computed for each batch as it comes."""

    def __init__(self, loader: Loader, prefix: Prefix):
        self.loader = loader
        self.prefix = prefix

    @property
    def waited(self) -> float:
        return self.loader.waited

    def batches(self, plan: Plan) -> Iterator[Batch]:
        for batch in self.loader.batches(plan):
            yield Batch(self.prefix(batch.inputs) if batch.count else None, batch.targets, batch.count)


@dataclass
class Held:
    """One part's values at the cut: a row for each image, and the rows of one view after those of the other.

    Attributes:
        tensors: on the device where they fit, whatever the `place` is in which they are kept.
        targets: the same of targets that are seen as the images are; None: each image has its label.
    """

    tensors: list[Tensor]
    views: int
    place: str
    targets: Any = None


class Kept:
    """The values at the cut, read from where they are kept: those of view e modulo the views in epoch e."""

    def __init__(self, held: Held, loader: Loader, dtypes: list[torch.dtype]):
        self.held = held
        self.loader = loader
        self.dtypes = dtypes
        self.labels = torch.from_numpy(loader.samples.part.labels).to(loader.device)
        self.waited = 0.0

    def batches(self, plan: Plan) -> Iterator[Batch]:
        device, first = self.loader.device, plan.epoch % self.held.views * len(self.loader.samples)
        for positions, there in zip(plan.to(self.held.tensors[0].device), plan.to(device), strict=True):
            start = time.perf_counter()
            rows = positions + first
            pairs = zip(self.held.tensors, self.dtypes, strict=True)
            values = tuple(_sent(tensor.index_select(0, rows), device, dtype) for tensor, dtype in pairs)
            dense = self.held.targets
            targets = self.labels[there] if dense is None else sent(taken(dense, rows), device)
            self.waited += time.perf_counter() - start
            yield Batch(values, targets, len(positions))


def _sent(rows: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The rows on the device, which computes on while they are copied."""
    moves = device.type == "cuda" and rows.device.type == "cpu"
    return (rows.pin_memory() if moves else rows).to(device, non_blocking=True).to(dtype)

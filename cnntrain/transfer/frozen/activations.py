"""Feeds of the values at the cut."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.plan import Plan
from cnntrain.data.batches.samples import Batch
from cnntrain.transfer.frozen import keeping

if TYPE_CHECKING:
    pass


class Computed:
    """The values at the cut, computed for each batch as it comes."""

    def __init__(self, loader: Loader, prefix: keeping.Prefix):
        self.loader = loader
        self.prefix = prefix

    @property
    def waited(self) -> float:
        return self.loader.waited

    def batches(self, plan: Plan) -> Iterator[Batch]:
        for images, labels in self.loader.batches(plan):
            yield self.prefix(images), labels


class Kept:
    """The values at the cut, read from where they are kept: those of view e modulo the views in epoch e."""

    def __init__(self, held: keeping.Held, loader: Loader, dtypes: list[torch.dtype]):
        self.held = held
        self.loader = loader
        self.dtypes = dtypes
        self.labels = torch.from_numpy(loader.samples.part.labels).to(loader.device)
        self.waited = 0.0

    def batches(self, plan: Plan) -> Iterator[Batch]:
        device, count = self.loader.device, len(self.loader.samples)
        for keys in plan:
            start = time.perf_counter()
            rows = torch.tensor([epoch % self.held.views * count + index for epoch, index in keys])
            pairs = zip(self.held.tensors, self.dtypes, strict=True)
            values = tuple(tensor.index_select(0, rows).to(device, dtype) for tensor, dtype in pairs)
            labels = self.labels[(rows % count).to(device)]
            self.waited += time.perf_counter() - start
            yield values, labels

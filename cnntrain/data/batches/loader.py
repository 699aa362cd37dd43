"""Batches on the device: which samples, in which order, seen how, as functions of (seed, epoch, index)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader

from cnntrain.core.errors import InputError
from cnntrain.data.batches.plan import Plan
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.samples import Batch, Samples


class Loader:
    """Iterates over a part in a plan's order, with worker processes that live as long as the loader."""

    def __init__(
        self, samples: Samples, workers: int, preprocess: Preprocess, device: torch.device, dtype: torch.dtype
    ):
        self.samples = samples
        self.preprocess = preprocess
        self.device = device
        self.dtype = dtype
        self.waited = 0.0  # seconds that the consumer has waited for batches
        self._planned = _Planned()
        self._loader = DataLoader(
            samples,
            batch_sampler=self._planned,
            num_workers=workers,
            persistent_workers=workers > 0,
            # a rank was itself spawned, and would spawn: each worker would import everything again
            multiprocessing_context="fork" if workers else None,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # else each epoch would draw from the global one
        )

    def batches(self, plan: Plan) -> Iterator[Batch]:
        """Images (normalised, on the device) and labels for each list of (epoch, index) in `plan`.

        Raises:
            InputError: an image cannot be read.
        """
        self._planned.batches = plan
        start = time.perf_counter()
        try:
            for images, labels in self._loader:
                batch = self.preprocess(images, self.device, self.dtype), labels.to(self.device, non_blocking=True)
                self.waited += time.perf_counter() - start
                yield batch
                start = time.perf_counter()
        except InputError as error:
            # a worker process wraps the message in its traceback
            raise InputError(str(error).rpartition("InputError: ")[2].strip()) from None


class _Planned:
    """The batch sampler of `Loader`, which changes its plan before each iteration.

    It must not know its loader: workers of a loader in a reference cycle take five seconds each to go.
    """

    def __init__(self) -> None:
        self.batches: Plan = []

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)

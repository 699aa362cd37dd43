"""Batches of images on the device, read by worker processes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader

from cnntrain.core import signals
from cnntrain.core.errors import InputError
from cnntrain.data.batches.feed import Batch
from cnntrain.data.batches.plan import Plan
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.samples import Samples


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
            batch_size=None,  # the samples make the batches
            sampler=self._planned,
            collate_fn=_as_it_is,
            num_workers=workers,
            persistent_workers=workers > 0,
            # a rank was itself spawned, and would spawn: each worker would import everything again
            multiprocessing_context="fork" if workers else None,
            worker_init_fn=partial(_go_with, os.getpid()) if _in_main_thread() else None,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # else each epoch would draw from the global one
        )

    def batches(self, plan: Plan) -> Iterator[Batch]:
        """Images (normalised, on the device) and targets for each batch of `plan`.

        Raises:
            InputError: an image cannot be read.
        """
        self._planned.plan = plan
        start = time.perf_counter()
        try:
            for loaded in self._loader:
                batch = self._on_device(loaded)
                self.waited += time.perf_counter() - start
                yield batch
                start = time.perf_counter()
        except InputError as error:
            # a worker process wraps the message in its traceback
            raise InputError(str(error).rpartition("InputError: ")[2].strip()) from None

    def _on_device(self, loaded: tuple[Any, Any] | None) -> Batch:
        if loaded is None:
            return Batch(None, None, 0)
        images, targets = loaded
        seen = self.preprocess(images, self.device, self.dtype)
        return Batch(seen, targets.to(self.device, non_blocking=True), len(images))


def _as_it_is(loaded: Any) -> Any:
    return loaded


def _in_main_thread() -> bool:
    """Whether what is forked here has the process for its parent; else it would go with the thread that forks it."""
    return threading.current_thread() is threading.main_thread()


def _go_with(parent: int, worker: int) -> None:
    """A worker would look only every five seconds whether its parent has been killed."""
    signals.die_with(parent)


class _Planned:
    """The sampler of `Loader`, which changes its plan before each iteration.

    It must not know its loader: workers of a loader in a reference cycle take five seconds each to go.
    """

    def __init__(self) -> None:
        self.plan: Plan | None = None

    def __iter__(self) -> Iterator[tuple[int, list[int]]]:
        assert self.plan is not None
        for positions in self.plan:
            yield self.plan.epoch, positions.tolist()

    def __len__(self) -> int:
        return len(self.plan) if self.plan is not None else 0

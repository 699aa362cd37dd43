"""Samples as worker processes read them, a batch at a time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cnntrain.core import signals
from cnntrain.core.errors import InputError
from cnntrain.data.batches.plan import Plan
from cnntrain.data.batches.samples import Samples


class Source(Protocol):
    """Where a part's samples come from, before anything is done to them on the device."""

    workers: int  # processes that read them
    waited: float  # seconds that the consumer has waited for them
    in_memory: bool  # whether they are at hand, and not read when they are asked for
    on_gpu: bool  # whether they are in the memory of the GPU that computes

    def batches(self, plan: Plan) -> Iterator[tuple[Tensor, Any] | None]:
        """Images, uint8 or uint16 [batch, channels, height, width], and targets a batch; None for one of none."""
        ...


class Reader:
    """Reads a part in a plan's order, by worker processes that live as long as the reader."""

    in_memory = on_gpu = False

    def __init__(self, samples: Samples, workers: int, device: torch.device):
        self.workers = workers
        self.waited = 0.0
        self._planned = _Planned()
        self._goes_with = partial(_go_with, os.getpid()) if _in_main_thread() else None
        self._loader = DataLoader(
            samples,
            batch_size=None,  # the samples make the batches
            sampler=self._planned,
            collate_fn=_as_it_is,
            num_workers=workers,
            persistent_workers=workers > 0,
            # a rank was itself spawned, and would spawn: each worker would import everything again
            multiprocessing_context="fork" if workers else None,
            worker_init_fn=self._goes_with,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # else each epoch would draw from the global one
        )

    def batches(self, plan: Plan) -> Iterator[tuple[Tensor, Any] | None]:
        """Raises InputError where an image cannot be read."""
        self._planned.plan = plan
        start = time.perf_counter()
        try:
            for loaded in self._begun():
                self.waited += time.perf_counter() - start
                yield loaded
                start = time.perf_counter()
        except InputError as error:
            # a worker process wraps the message in its traceback
            raise InputError(str(error).rpartition(f"{type(error).__name__}: ")[2].strip()) from None

    def _begun(self) -> Iterator[Any]:
        """The loader's iterator, which the first time forks the workers."""
        with signals.without_sigterm() if self._goes_with else nullcontext():
            return iter(self._loader)


def _as_it_is(loaded: Any) -> Any:
    return loaded


def _in_main_thread() -> bool:
    """Whether what is forked here has the process for its parent; else it would go with the thread that forks it."""
    return threading.current_thread() is threading.main_thread()


def _go_with(parent: int, worker: int) -> None:
    """A worker would look only every five seconds whether its parent has been killed, and would end, and with it the
    parent by an error, where a signal by which the parent saves is sent to both."""
    signals.die_with(parent)
    signals.heed_alone(parent)


class _Planned:
    """The sampler of `Reader`, which changes its plan before each iteration.

    It must not know its reader: workers of a reader in a reference cycle take five seconds each to go.
    """

    def __init__(self) -> None:
        self.plan: Plan | None = None

    def __iter__(self) -> Iterator[tuple[int, list[int]]]:
        assert self.plan is not None
        for positions in self.plan:
            yield self.plan.epoch, positions.tolist()

    def __len__(self) -> int:
        return len(self.plan) if self.plan is not None else 0

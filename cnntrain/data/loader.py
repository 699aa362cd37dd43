"""Batches on the device: which samples, in which order, seen how, as functions of (seed, epoch, index)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cnntrain import seeds
from cnntrain.data.parts import Part
from cnntrain.errors import InputError

Batch = tuple[Any, Tensor]  # images, or what stands for them; and labels
Plan = list[list[tuple[int, int]]]  # batches of (epoch, index)


@dataclass(frozen=True)
class Share:
    """Which part of every batch this rank takes, in how many pieces."""

    rank: int
    ranks: int
    pieces: int  # micro-batches an optimizer step


@dataclass
class Preprocess:
    """From uint8 images to what the network sees, on the device; kept in checkpoints.

    Attributes:
        mean, std: a number a channel, of values in [0, 1].
    """

    channels: int
    image_size: int
    mean: list[float]
    std: list[float]

    def __call__(self, images: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
        """uint8 [batch, channels, height, width] to normalised `dtype` of the same shape."""
        values = images.to(device, non_blocking=True).to(dtype).div_(255)
        mean, std = (torch.tensor(v, device=device, dtype=dtype).view(-1, 1, 1) for v in (self.mean, self.std))
        return values.sub_(mean).div_(std)

    def undo(self, images: Tensor) -> Tensor:
        """Normalised images back to [0, 1], for people to look at."""
        mean, std = (torch.tensor(v, device=images.device).view(-1, 1, 1) for v in (self.mean, self.std))
        return images.float().mul(std).add(mean).clamp(0, 1)


class Samples(Dataset[Batch]):
    """A part seen through a transform; asked for (epoch, index), so that a worker process needs no state.

    With `seed` the transform's randomness is that of (seed, epoch, index).
    """

    def __init__(self, part: Part, transform: Callable[[Tensor], Tensor], seed: int | None):
        self.part = part
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, index = key
        image = self.part.images[index]
        label = torch.tensor(int(self.part.labels[index]))
        if self.seed is None:
            return self.transform(image), label
        with seeds.cpu_seed(self.seed, "augment", epoch, index):
            return self.transform(image), label


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


def train_plan(count: int, batch_size: int, seed: int, epoch: int, share: Share) -> Plan:
    """This rank's micro-batches of an epoch, `share.pieces` to an optimizer step.

    Every epoch is another permutation of all samples, cut into whole batches: what is left over at the end of one
    epoch has its turn in another.
    """
    order = torch.randperm(count, generator=seeds.generator(seed, "order", epoch)).tolist()
    plan = []
    for step in range(count // batch_size):
        mine = order[step * batch_size : (step + 1) * batch_size][share.rank :: share.ranks]
        size = len(mine) // share.pieces
        plan += [[(epoch, i) for i in mine[p * size : (p + 1) * size]] for p in range(share.pieces)]
    return plan


def eval_plan(count: int, batch_size: int, share: Share) -> Plan:
    """This rank's batches of an evaluation: over all ranks every sample once, none padded."""
    mine = range(share.rank, count, share.ranks)
    size = max(1, batch_size // share.ranks)
    return [[(0, i) for i in mine[start : start + size]] for start in range(0, len(mine), size)]


def step_batch(batch_size: int, count: int, share: Share) -> int:
    """The batch of a step: `batch_size`, or for a smaller training part the most that can be shared equally.

    Raises:
        InputError: there are fewer samples than ranks times micro-batches.
    """
    shares = share.ranks * share.pieces
    size = min(batch_size, count // shares * shares)
    if size == 0:
        raise InputError(
            f"the training part has {count} samples, too few for devices x trainer.grad_accum = {shares} shares"
        )
    return size

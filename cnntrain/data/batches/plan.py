"""Which samples, in which order, as functions of (seed, epoch, rank)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import torch
from torch import Tensor

from cnntrain.core import seeds
from cnntrain.core.errors import InputError

RUNS = 16  # places of a set from which the samples of a window come


@dataclass(frozen=True)
class Share:
    """Which part of every batch this rank takes, in how many pieces."""

    rank: int
    ranks: int
    pieces: int  # micro-batches an optimizer step


WHOLE = Share(0, 1, 1)


@dataclass(frozen=True)
class Plan:
    """Batches of samples, seen as in one epoch; ``plan[a:b]`` is a plan of some of them.

    Attributes:
        order: int64 [samples], positions in a part.
        starts, ends: int64 [batches], where in `order` each batch begins and ends. A batch may be empty.
    """

    epoch: int
    order: Tensor
    starts: Tensor
    ends: Tensor

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[Tensor]:
        """The positions of each batch, views of `order`."""
        return (self.order[start:end] for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True))

    def to(self, device: torch.device) -> Plan:
        """The same with its positions on a device, once for all of its batches."""
        order = self.order.pin_memory() if device.type == "cuda" and self.order.device.type == "cpu" else self.order
        return replace(self, order=order.to(device, non_blocking=True))

    def __getitem__(self, batches: slice) -> Plan:
        return replace(self, starts=self.starts[batches], ends=self.ends[batches])

    def together(self, count: int) -> Plan:
        """The same samples, so many batches at once; the last may be fewer."""
        assert torch.equal(self.starts[1:], self.ends[:-1]), "batches follow one another"
        last = (torch.arange(0, len(self), count) + count - 1).clamp(max=len(self) - 1)
        return replace(self, starts=self.starts[::count], ends=self.ends[last])


@dataclass(frozen=True)
class Steps:
    """How an epoch of training is cut into optimizer steps, each shared equally by ranks and micro-batches.

    The last step takes what is left, but for what cannot be shared equally. Of shares too small for the network it
    is merged with the one before.

    Attributes:
        batch: samples of a step, a multiple of `shares`.
        shares: ranks times micro-batches.
        least: samples that a share must have, unless those of whole steps have fewer.
    """

    count: int
    batch: int
    shares: int
    least: int

    @property
    def over(self) -> int:
        """Samples that follow the whole steps."""
        return self.count % self.batch

    @property
    def left(self) -> int:
        """Samples that an epoch leaves out, others each time: they cannot be shared equally."""
        return self.over % self.shares

    @property
    def is_merged(self) -> bool:
        """Whether what follows the whole steps is added to the last of them."""
        return 0 < self.over // self.shares < self.least

    @property
    def ends(self) -> Tensor:
        """int64 [steps], how many samples are done after each."""
        ends = self.batch * (1 + torch.arange(self.count // self.batch))
        everything = torch.tensor([self.count - self.left])
        kept = ends[:-1] if self.is_merged or self.over == self.left else ends
        return torch.cat([kept, everything])


def train_plan(
    steps: Steps, seed: int, epoch: int, share: Share, window: int | None = None, balanced: np.ndarray | None = None
) -> Plan:
    """This rank's micro-batches of an epoch, `share.pieces` to an optimizer step.

    Every epoch is another permutation of all samples, so what one leaves out has its turn in another.

    Args:
        window: see `shuffled`.
        balanced: labels of all samples, whose classes come equally often; None: each sample comes once.
    """
    generator = seeds.generator(seed, "order", epoch)
    if balanced is None:
        order = shuffled(steps.count, window, generator)
    else:
        order = drawn_equally(balanced, seed, epoch)
        order = order[torch.randperm(len(order), generator=generator)]
    ends = steps.ends
    mine = order[: int(ends[-1])][share.rank :: share.ranks]  # of each step, since all are multiples of the ranks
    sizes = ends.diff(prepend=torch.zeros(1, dtype=torch.int64)) // (share.ranks * share.pieces)
    bounds = sizes.repeat_interleave(share.pieces).cumsum(0)
    return Plan(epoch, mine, torch.cat([torch.zeros(1, dtype=torch.int64), bounds[:-1]]), bounds)


def shuffled(count: int, window: int | None, generator: torch.Generator) -> Tensor:
    """A permutation, int64 [count], of all samples at once, or one that reads neighbours soon after one another.

    Args:
        window: the samples are cut into runs of neighbours, other ones each time, of which `RUNS` make a window. The
            runs are shuffled, and then the samples of each window among themselves; None: all are one window.
    """
    if window is None or window >= count:
        return torch.randperm(count, generator=generator)
    shift = int(torch.randint(count, (), generator=generator))
    runs = torch.arange(count).roll(shift).split(max(1, window // RUNS))
    mixed = torch.cat([runs[each] for each in torch.randperm(len(runs), generator=generator).tolist()])
    return torch.cat([each[torch.randperm(len(each), generator=generator)] for each in mixed.split(window)])


def drawn_equally(labels: np.ndarray, seed: int, epoch: int) -> Tensor:
    """As many positions as there are samples, int64 [n], of each class equally many; where the classes do not divide n,
    some of them have one more, others each epoch.

    A class goes through its samples in ever new orders and goes on in the next epoch where it was, so that over the
    epochs of a run each of its samples has its turn. An epoch is a function of (labels, seed, epoch) all the same.
    """
    members = np.split(np.argsort(labels, kind="stable"), np.flatnonzero(np.diff(np.sort(labels))) + 1)
    each, over = divmod(len(labels), len(members))
    more = set(torch.randperm(len(members), generator=seeds.generator(seed, "balance", epoch))[:over].tolist())
    pieces = []
    for number, own in enumerate(members):
        start, count = epoch * (each + bool(over)), each + (number in more)
        rounds = range(start // len(own), (start + count - 1) // len(own) + 1) if count else range(0)
        turns = [own[_turn(len(own), seed, number, one)] for one in rounds]
        if turns:
            first = start - rounds[0] * len(own)
            pieces.append(np.concatenate(turns)[first : first + count])
    return torch.from_numpy(np.concatenate(pieces))


def _turn(count: int, seed: int, number: int, round_: int) -> np.ndarray:
    """In which order class `number` is gone through in a round."""
    return torch.randperm(count, generator=seeds.generator(seed, "balance", number, round_)).numpy()


def eval_plan(count: int, batch_size: int, share: Share, epoch: int = 0) -> Plan:
    """This rank's batches of an evaluation: over all ranks every sample once, none padded.

    All ranks have equally many, so that they can agree between batches; those of a rank whose share has run out are
    empty.
    """
    mine = torch.arange(count)[share.rank :: share.ranks]
    size = max(1, batch_size // share.ranks)
    batches = ceil(ceil(count / share.ranks) / size)
    bounds = (size * torch.arange(batches + 1)).clamp(max=len(mine))
    return Plan(epoch, mine, bounds[:-1], bounds[1:])


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

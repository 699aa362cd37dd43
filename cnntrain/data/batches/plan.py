"""Which samples, in which order, as functions of (seed, epoch, rank)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cnntrain.core import seeds
from cnntrain.core.errors import InputError

Plan = list[list[tuple[int, int]]]  # batches of (epoch, index)


@dataclass(frozen=True)
class Share:
    """Which part of every batch this rank takes, in how many pieces."""

    rank: int
    ranks: int
    pieces: int  # micro-batches an optimizer step


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

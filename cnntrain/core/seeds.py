"""Order and randomness as functions: a seed for everything, derived from where in the run it is used.

Nothing depends on how many random numbers were drawn before, so a resumed run draws what an uninterrupted one would,
and neither the number of workers nor of ranks changes how a sample is seen.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import numpy as np
import torch


def derive(*parts: int | str) -> int:
    """A 63-bit seed for, say, (seed, "augment", epoch, index); different parts give unrelated seeds."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest()) >> 1


def generator(*parts: int | str) -> torch.Generator:
    """A CPU generator seeded by `derive`."""
    return torch.Generator().manual_seed(derive(*parts))


@contextmanager
def cpu_seed(*parts: int | str) -> Iterator[None]:
    """Within the block torch's global CPU generator starts from `derive`; afterwards it is as it was before."""
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(derive(*parts))
    try:
        yield
    finally:
        torch.set_rng_state(before)


@contextmanager
def generators_kept() -> Iterator[None]:
    """Within the block anything may draw and seed; afterwards the global generators of Python, numpy and torch, those
    of GPUs too, are as they were before.
    """
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
        if gpus is not None:
            torch.cuda.set_rng_state_all(gpus)
        elif torch.cuda.is_initialized():  # the block was the first to use them, and seeded them
            torch.cuda.manual_seed_all(torch.initial_seed())  # as `torch.manual_seed` had asked for


def seed_step(*parts: int | str) -> None:
    """Seed torch's global generators, those of GPUs in use too, for what a model draws in one step (dropout).

    ``torch.manual_seed`` would format a stack trace each time where there is no GPU.
    """
    seed = derive(*parts)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)

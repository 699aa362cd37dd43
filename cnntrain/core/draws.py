"""Random numbers as a function: whoever asks for a sample's numbers, alone or in a batch, anywhere, gets the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cnntrain.core.seeds import cpu_seed, derive

GOLDEN = 0x9E3779B97F4A7C15
MIXERS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
MOST = 64  # numbers of one name


class Draws:
    """Numbers of samples, functions of (seed, epoch, position, name) alone.

    They are those of SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2714064.2660195), whose n-th number can be had
    without the ones before it.

    They are few, and computed on the CPU while a GPU is at work: what is decided by them need not wait for it.

    Attributes:
        positions: int64 [samples].
        device: where the numbers are wanted.
    """

    def __init__(self, seed: int, epoch: int, positions: Tensor, device: torch.device | None = None):
        self.seed = seed
        self.epoch = epoch
        self.positions = positions
        self.device = device

    def uniform(self, name: str, count: int) -> Tensor:
        """float64 [count, samples], in [0, 1); not to be changed."""
        assert count <= MOST
        first = self.positions * MOST + derive(self.seed, name, self.epoch)
        numbers = first + torch.arange(count)[:, None]
        found = _right(_mixed(numbers * _signed(GOLDEN)), 11).double() * 2.0**-53
        return found if self.device is None else found.to(self.device, non_blocking=True)

    @cached_property
    def here(self) -> Draws:
        """The same numbers on the CPU."""
        return Draws(self.seed, self.epoch, self.positions)

    @cached_property
    def first(self) -> Draws:
        """Those of the first epoch."""
        return Draws(self.seed, 0, self.positions, self.device)

    def stretch(self, start: int, end: int) -> Draws:
        """Those of consecutive samples, which are drawn for all together when the first of them are asked for."""
        return _Stretch(self, slice(start, end))

    @cached_property
    def _drawn(self) -> dict[tuple[str, int], Tensor]:
        return {}

    def _once(self, name: str, count: int) -> Tensor:
        if (name, count) not in self._drawn:
            self._drawn[name, count] = self.uniform(name, count)
        return self._drawn[name, count]

    def alone(self) -> int:
        """A seed for the first sample, where another generator is wanted."""
        return derive(self.seed, "augment", self.epoch, int(self.positions[0]))


class _Stretch(Draws):
    """Samples of `whole`, one after the other."""

    def __init__(self, whole: Draws, place: slice):
        super().__init__(whole.seed, whole.epoch, whole.positions[place], whole.device)
        self.whole = whole
        self.place = place

    def uniform(self, name: str, count: int) -> Tensor:
        return self.whole._once(name, count)[:, self.place]

    @property
    def here(self) -> Draws:
        return self.whole.here.stretch(self.place.start, self.place.stop)

    @property
    def first(self) -> Draws:
        return self.whole.first.stretch(self.place.start, self.place.stop)


class Seeded:
    """A transform of one sample that draws from torch's global generator, which starts from the sample's seed; can be
    pickled."""

    def __init__(self, transform: Callable[[Any, Any], tuple[Any, Any]]):
        self.transform = transform

    def __call__(self, image: Any, target: Any, draws: Draws) -> tuple[Any, Any]:
        with cpu_seed(draws.alone()):
            return self.transform(image, target)


def _mixed(state: Tensor) -> Tensor:
    for shift, factor in MIXERS:
        state = (state ^ _right(state, shift)) * _signed(factor)
    return state ^ _right(state, 31)


def _right(state: Tensor, by: int) -> Tensor:
    """A shift of 64 bits without a sign."""
    return (state >> by) & ((1 << (64 - by)) - 1)


def _signed(number: int) -> int:
    """The int64 of the same bits."""
    return number - (1 << 64) if number >> 63 else number

"""Samples that are no images, as an evaluation sees them: signals as they are, of volumes some of the frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from cnntrain.core.errors import InputError


class OfOneFrame(Protocol):
    """See `preprocess.Fit`."""

    changes_nothing_of_its_size: bool
    least: int | None
    size: tuple[int, int]

    def __call__(self, image: Any, target: Any) -> tuple[Any, Any]: ...


class AsItIs:
    """Signals [channels, length], all of one length; can be pickled.

    Args:
        shape: of one.
    """

    least: int | None = None
    changes_nothing_of_its_size = True

    def __init__(self, shape: Sequence[int]):
        self.shape = tuple(shape)

    def __call__(self, signal: Tensor, target: Any) -> tuple[Tensor, Any]:
        """Raises InputError where it has another shape."""
        if tuple(signal.shape) != self.shape:
            own, wanted = ("x".join(map(str, each)) for each in (signal.shape, self.shape))
            raise InputError(f"a signal of {own} values, and the network was made for {wanted} (channels x length)")
        return signal, target


class Frames:
    """Volumes [channels, frames, height, width] of any sizes to so many frames, each seen as an image; can be pickled.

    Args:
        frames: those in the middle of so many equal stretches of time (Wang et al. 2016, arXiv:1608.00859, of which an
            evaluation takes the middle ones); where there are fewer, some are seen more than once.
        fit: of one frame.
    """

    def __init__(self, frames: int, fit: OfOneFrame):
        self.frames = frames
        self.fit = fit
        self.least = fit.least
        self.changes_nothing_of_its_size = fit.changes_nothing_of_its_size

    def __call__(self, volume: Tensor, target: Any) -> tuple[Tensor, Any]:
        count = volume.shape[1]
        if count != self.frames:
            volume = volume[:, middles(count, self.frames)]
        if self.changes_nothing_of_its_size and tuple(volume.shape[-2:]) == self.fit.size:
            return volume, target
        return torch.stack([self.fit(each, target)[0] for each in volume.unbind(1)], 1), target


def middles(count: int, wanted: int) -> list[int]:
    """Of `count` frames those in the middle of `wanted` equal stretches."""
    return [(2 * each + 1) * count // (2 * wanted) for each in range(wanted)]

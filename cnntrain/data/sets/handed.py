"""Signals and volumes that are handed over from Python, beside the images of `named`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cnntrain.core.errors import InputError
from cnntrain.data.base import Reading
from cnntrain.data.sets import clips
from cnntrain.data.sets.dataset import Images
from cnntrain.data.sets.decode import Decoded
from cnntrain.data.sets.named import GivenImages


def handed(inputs: Sequence[Any], shape: Sequence[int], how: Reading) -> Images:
    """What a network is to see, of whatever kind.

    Args:
        inputs: images as `given.given` takes them, signals as `GivenSignals` or volumes as `GivenClips` does.
        shape: of one input: channels, then one side of a signal, two of an image, three of a volume.
    """
    sides = len(shape) - 1
    if sides == 1:
        return GivenSignals(inputs, shape)
    return GivenClips(inputs, how) if sides > 2 else GivenImages(inputs, how)


class GivenSignals:
    """Signals: arrays or tensors [length] or [channels, length] of numbers."""

    travels = False

    def __init__(self, signals: Sequence[Any], shape: Sequence[int]):
        self.signals, self.shape = signals, tuple(shape)

    def __len__(self) -> int:
        return len(self.signals)

    def __getitem__(self, index: int) -> torch.Tensor:
        """Raises InputError where it is no signal of the network's shape."""
        given = self.signals[index]
        values = given.detach().cpu().double().numpy() if isinstance(given, torch.Tensor) else given
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
            raise InputError(f"a {type(given).__name__} is no signal: give an array [length] or [channels, length]")
        channels, length = self.shape
        if values.shape != self.shape and (channels != 1 or values.shape != (length,)):
            shown = "x".join(map(str, values.shape))
            raise InputError(
                f"a signal of {shown} values, and the network takes {channels}x{length} (channels x length)"
            )
        signal = values.astype(np.float32).reshape(self.shape)
        if not np.isfinite(signal).all():
            raise InputError("a signal has values that are missing or no finite float32 numbers")
        return torch.from_numpy(signal)


class GivenClips(Decoded):
    """Volumes: files and folders as `clips.ClipImages` reads them, or arrays as such a file holds."""

    travels = False

    def __init__(self, volumes: Sequence[Any], how: Reading):
        super().__init__(how)
        self.volumes = volumes

    def __len__(self) -> int:
        return len(self.volumes)

    def __getitem__(self, index: int) -> torch.Tensor:
        """Raises InputError where it is none."""
        given = self.volumes[index]
        if isinstance(given, str | Path):
            return clips.ClipImages("", [str(given)], self.how)[0]
        values = given.detach().cpu().numpy() if isinstance(given, torch.Tensor) else given
        if not isinstance(values, np.ndarray):
            raise InputError(f"a {type(given).__name__} is no volume: give a file, a folder or an array of frames")
        return clips.of_values(values, "an array", self.how)

"""A sample that is handed over from Python, of as many sides as its network sees: a signal, an image, a volume."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnntrain.core.errors import InputError
from cnntrain.data.base import Reading
from cnntrain.data.sets import bands, clips, signal_files
from cnntrain.data.sets.bands import RangeError
from cnntrain.data.sets.given import given


def sample(value: Any, how: Reading, shape: Sequence[int]) -> Tensor:
    """The sample as its data set has it, [channels, *sides].

    Args:
        value: of an image see `given`. Of a signal the file of one, or numbers [length] or [channels, length]. Of a
            volume a file .npy, a folder of frames, an array uint8 or uint16 [frames, height, width] or [frames, height,
            width, channels], or such a tensor [channels, frames, height, width].
        shape: of what the network sees.

    Raises:
        InputError: it is none of these.
    """
    if len(shape) == 2:
        return _signal(value, shape)
    return _volume(value, how) if len(shape) == 4 else given(value, how)


def _signal(value: Any, shape: Sequence[int]) -> Tensor:
    if isinstance(value, str | Path):
        rows = signal_files.given(str(value), shape)
        if len(rows) != 1:
            raise InputError(f"{value}: holds {len(rows):,} signals, and one is a sample: cnntrain predict takes all")
        return torch.from_numpy(rows[0].copy())
    values = torch.as_tensor(value).detach().cpu() if isinstance(value, np.ndarray | Tensor) else None
    if values is None or values.numel() != shape[0] * shape[1] or values.ndim not in (1, 2):
        wrong = f"a {type(value).__name__}" if values is None else f"numbers of the shape {list(values.shape)}"
        raise InputError(f"{wrong} is no signal of {shape[0]} x {shape[1]} values (channels x length)")
    signal = values.float().reshape(shape[0], shape[1])
    if not bool(signal.isfinite().all()):
        raise InputError("a signal has values that are missing or no finite float32 numbers")
    return signal


def _volume(value: Any, how: Reading) -> Tensor:
    if isinstance(value, str | Path):
        path = str(value)
        return clips.of_folder(path, how) if os.path.isdir(path) else clips.of_array(path, how)
    if isinstance(value, Tensor):
        value = value.detach().cpu().movedim(0, -1).numpy() if value.ndim == 4 else value.numpy()
    if not isinstance(value, np.ndarray):
        raise InputError(f"a {type(value).__name__} is no volume: give a file, a folder, an array or a tensor for each")
    try:
        return clips.of_values(value, how)
    except (bands.ChannelsError, RangeError, ValueError) as error:
        raise InputError(f"an array of the shape {list(value.shape)}: {error}") from error

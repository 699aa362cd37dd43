"""An image that is handed over from Python, made what an image file becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cnntrain.core.errors import InputError
from cnntrain.data.base import Reading, is_picture
from cnntrain.data.sets import bands, pictures
from cnntrain.data.sets.bands import ChannelsError, RangeError
from cnntrain.data.sets.decode import decode

DEPTHS = (1, 3, 4)  # grey, RGB, RGB with alpha
SHAPES = "[height, width] or [height, width, 1, 3 or 4]; of a tensor the channels come first"
RANGES = "uint8, or floating point from 0 to 1"


def given(image: Any, how: Reading) -> torch.Tensor:
    """The image as [channels, height, width], uint8 or uint16; what is in it is treated as `decode` treats it.

    Args:
        image: a file, a PIL image, an array [height, width] or [height, width, 1, 3 or 4], or a tensor [height, width]
            or [1, 3 or 4, height, width]. Arrays and tensors are uint8, or floating point from 0 to 1. Where other
            channels or 16 bits are wanted, arrays are as in a .npy file, and tensors have their channels first.

    Raises:
        InputError: it is none of these, or cannot be read.
    """
    if isinstance(image, str | Path):
        return decode(str(image), how)
    if not is_picture(how.channels, how.depth) and isinstance(image, np.ndarray | torch.Tensor):
        return _of_bands(image, how.channels, how.depth)
    if isinstance(image, torch.Tensor):
        image = _channels_last(image)
    if isinstance(image, np.ndarray):
        image = Image.fromarray(_bytes(image))
    if not isinstance(image, Image.Image):
        raise InputError(
            f"a {type(image).__name__} is not an image: give a file, a PIL image, an array or a tensor for each"
        )
    if 0 in image.size:
        raise InputError("an image without pixels cannot be judged")
    try:
        return bands.channels_first(pictures.pixels(image, how.channels, how.background, how.depth))
    except ChannelsError as error:
        raise InputError(f"a PIL image of mode {image.mode} {error}") from error
    except Exception as error:  # PIL reads the file only now, and damage makes it raise nearly any type
        raise InputError(f"a PIL image of mode {image.mode} cannot be read: {error}") from error


def _of_bands(image: np.ndarray | torch.Tensor, channels: int, depth: int) -> torch.Tensor:
    values = image
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()
        values = values[..., None] if values.ndim == 2 else np.moveaxis(values, 0, -1)
    kind = f"an array of type {values.dtype}"
    try:
        if np.issubdtype(values.dtype, np.floating):
            values = _of_fractions(values, (1 << depth) - 1).astype(np.uint16 if depth == 16 else np.uint8)
        # of a tensor the channels are the last axis by now
        last = values if isinstance(image, torch.Tensor) else bands.ordered(values, channels)
        found = bands.converted(last, channels, depth)
    except (ChannelsError, RangeError, ValueError) as error:
        raise InputError(f"{kind} {error}") from error
    return bands.channels_first(found)


def _channels_last(image: torch.Tensor) -> np.ndarray:
    values = image.detach().cpu()
    values = values.double() if values.is_floating_point() else values  # numpy has no bfloat16
    if values.ndim == 3:
        if len(values) not in DEPTHS:
            raise InputError(f"a tensor of shape {list(values.shape)} is not an image: its shape must be {SHAPES}")
        values = values.permute(1, 2, 0)
    return values.numpy()


def _bytes(values: np.ndarray) -> np.ndarray:
    """Pixels [height, width] or [height, width, 3 or 4] as uint8."""
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in DEPTHS):
        raise InputError(f"an array of shape {list(values.shape)} is not an image: its shape must be {SHAPES}")
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.dtype == np.uint8:
        return values
    if not np.issubdtype(values.dtype, np.floating):
        raise InputError(f"pixels of type {values.dtype} are of no known range: they must be {RANGES}")
    return _of_fractions(values, 255).astype(np.uint8)


def _of_fractions(values: np.ndarray, white: int) -> np.ndarray:
    """Floating-point pixels from 0 to 1 as whole numbers from 0 to `white`."""
    if values.size and not (values.min() >= 0 and values.max() <= 1):  # nan is neither
        found = f"floating-point pixels from {values.min():g} to {values.max():g}"
        raise InputError(f"{found} are of no known range: they must be {RANGES}")
    return np.rint(values.astype(np.float64) * white)

"""Volumes in files: arrays of frames, and folders of image files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from cnntrain.core.errors import InputError
from cnntrain.core.words import printable
from cnntrain.data.base import GREY_OR_RGB, Reading
from cnntrain.data.sets import bands
from cnntrain.data.sets.decode import CHANNELS, DAMAGED, MISSING, NO_RANGE, Decoded, ImageError, decode, file_extensions


class ClipImages(Decoded):
    """Volumes [channels, frames, height, width] that are read when asked for: of an array .npy [frames, height, width]
    or [frames, height, width, channels] of 8 or 16 bits, or of a folder whose image files are the frames, by their
    names.
    """

    def __init__(self, root: str, ids: Sequence[str], how: Reading):
        super().__init__(how)
        self.root = root
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> torch.Tensor:
        """Raises ImageError where it cannot be read."""
        path = os.path.join(self.root, self.ids[index])
        return of_folder(path, self.how) if os.path.isdir(path) else of_array(path, self.how)


def of_array(path: str, how: Reading) -> torch.Tensor:
    """See `ClipImages`."""
    shown = printable(path)
    try:
        values = bands.of_npy(path, None)
    except FileNotFoundError as error:
        raise ImageError(f"{shown}: {error.strerror}", MISSING) from error
    except (OSError, ValueError) as error:
        raise ImageError(f"{shown}: cannot be read as an array of frames: {error}", DAMAGED) from error
    try:
        return of_values(values, how)
    except bands.RangeError as error:
        raise ImageError(f"{shown}: {error}", NO_RANGE) from error
    except bands.ChannelsError as error:
        raise ImageError(f"{shown}: {error}", CHANNELS) from error
    except ValueError as error:
        raise ImageError(f"{shown}: {error}") from error


def of_values(values: np.ndarray, how: Reading) -> torch.Tensor:
    """An array as `ClipImages` takes it from a file.

    Raises:
        RangeError: its values are neither of 8 nor of 16 bits.
        ChannelsError: it has other channels, which are not grey or RGB.
        ValueError: it has not the shape of a volume.
    """
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        raise bands.RangeError(f"values of type {values.dtype}; save it with 8 or 16 bits, unsigned")
    if values.ndim not in (3, 4) or not values.size:
        raise ValueError(
            f"has the shape {list(values.shape)}, and [frames, H, W] or [frames, H, W, channels] is a volume's"
        )
    values = values[..., None] if values.ndim == 3 else values
    count, height, width, channels = values.shape
    if channels != how.channels and not {channels, how.channels} <= {*GREY_OR_RGB}:
        raise bands.other_channels(channels, how.channels)
    flat = bands.converted(values.reshape(count * height, width, channels), how.channels, how.depth)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(flat.reshape(count, height, width, -1), 3, 0)))


def of_folder(path: str, how: Reading) -> torch.Tensor:
    """See `ClipImages`; frames must have one size."""
    names = sorted(frames_in(path))
    if not names:
        raise ImageError(f"{printable(path)}: no image files are there, which would be the frames")
    frames = [decode(os.path.join(path, each), how) for each in names]
    odd = next((name for name, each in zip(names, frames, strict=True) if each.shape != frames[0].shape), None)
    if odd is not None:
        raise ImageError(f"{printable(path)}: {printable(odd)} has another size than {printable(names[0])}")
    return torch.stack(frames, 1)


def frames_in(path: str) -> Iterator[str]:
    """The names of a folder's image files, but for hidden ones."""
    try:
        entries = os.listdir(path)
    except OSError as error:
        raise InputError(f"{printable(path)}: {error.strerror or error}") from error
    return (
        each for each in entries if not each.startswith(".") and os.path.splitext(each)[1].lower() in file_extensions()
    )


def given(path: str) -> list[str]:
    """The volumes that are to be judged: an array, a folder of frames, or a folder of such.

    Raises:
        InputError: there are none.
    """
    if path.lower().endswith(bands.SUFFIX) and os.path.isfile(path):
        return [path]
    if not os.path.isdir(path):
        raise InputError(f"images={path}: give an array .npy, a folder of frames, or a folder of such")
    within = [os.path.join(path, each) for each in sorted(os.listdir(path)) if not each.startswith(".")]
    found = [each for each in within if each.lower().endswith(bands.SUFFIX) or os.path.isdir(each)]
    if not found and any(frames_in(path)):
        return [path]
    if not found:
        raise InputError(f"images={path}: no volumes are there")
    return found

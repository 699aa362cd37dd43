"""Pixels of any number of channels, of 8 or 16 bits: .npy files, TIFF, and what is shown of them."""

from __future__ import annotations

from io import BytesIO
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from PIL import Image, TiffImagePlugin
from torch import Tensor

from cnntrain.core import extras
from cnntrain.data.base import GREY_OR_RGB, NUMBERS
from cnntrain.data.sets.arrays import with_channels

NPY = b"\x93NUMPY"
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
LONGEST = len(NPY)  # bytes at the start of a file, which tell these formats
SUFFIX = ".npy"
GREYS = ("L", "I;16", "I;16B", "I;16L")  # modes of PIL
DTYPES = {8: torch.uint8, 16: torch.uint16, NUMBERS: torch.float32}
LINE = 48  # pixels of height, of a signal's channel
WIDER = 257  # 255 times this is 65535


class RangeError(ValueError):
    """Pixels of a type without a known range."""


class ChannelsError(ValueError):
    """An image has not the channels that are asked for."""


class Layout(NamedTuple):
    """Of the first page of a TIFF: samples a pixel, and the most bits of one."""

    samples: int
    bits: int


def of_npy(path: str, content: bytes | None) -> np.ndarray:
    """A file's array, of which no pickled object is read.

    Raises:
        ValueError: it holds objects, or is damaged.
    """
    if content is None:  # mapped, so that a header that promises too much takes no memory
        return np.load(path, mmap_mode="r", allow_pickle=False)
    array: np.ndarray = np.load(BytesIO(content), allow_pickle=False)
    return array


def ordered(values: np.ndarray, channels: int) -> np.ndarray:
    """An array [H, W], [H, W, C] or [C, H, W] as [H, W, C].

    The first or the last axis is of the channels where it has as many as asked for; of grey and RGB, 1 or 3.

    Raises:
        ChannelsError: neither is, or both could be.
        RangeError: its values are neither of 8 nor of 16 bits.
    """
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        raise RangeError(f"values of type {values.dtype} have no fixed range; save it with 8 or 16 bits, unsigned")
    shape, wanted = list(values.shape), GREY_OR_RGB if channels in GREY_OR_RGB else (channels,)
    if values.ndim not in (2, 3):
        raise ChannelsError(f"has the shape {shape}, and [H, W], [H, W, C] or [C, H, W] is an image's")
    if 0 in shape:
        raise ValueError("it has no pixels")
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and values.size > limit * max(wanted):
        raise Image.DecompressionBombError
    if values.ndim == 2:
        return values[..., None]
    first, last = shape[0] in wanted, shape[2] in wanted
    if first and last:
        raise ChannelsError(f"has the shape {shape}, of which the first and the last axis could both be the channels")
    if not first and not last:
        raise ChannelsError(
            f"has the shape {shape}, of which neither the first nor the last axis is of data.channels={channels}: "
            f"data.channels={min(shape[0], shape[2])}"
        )
    return values if last else np.moveaxis(values, 0, 2)


def tiff_layout(file: BinaryIO) -> Layout | None:
    """Of a TIFF that is open, left where it was; None: it is damaged, which who reads it will say."""
    start = file.tell()
    try:
        header = file.read(8)
        header += file.read(8) if header[2] == 43 or header[3] == 43 else b""
        tags = TiffImagePlugin.ImageFileDirectory_v2(header)
        file.seek(tags.next)
        tags.load(file)
        bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
        return Layout(int(tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)), max(bits))
    except Exception:  # damage makes it raise nearly any type
        return None
    finally:
        file.seek(start)


def needs_tifffile(layout: Layout, channels: int, depth: int) -> bool:
    """Whether it is none of what Pillow reads: grey, or several samples of 8 bits that are grey or RGB with alpha."""
    if channels not in GREY_OR_RGB:
        return layout.samples > 1
    return layout.samples > 1 and depth == 16 and layout.bits > 8


def of_tiff(file: BinaryIO, path: str) -> np.ndarray:
    """Several samples a pixel, [H, W, C].

    Raises:
        ConfigError: the package that reads them is not installed.
        ChannelsError: it has several such pages.
        ValueError: it is damaged, or stands on its side.
    """
    tifffile = extras.needed(f"{path}: a TIFF of several channels", "tifffile", "tiff")
    with tifffile.TiffFile(file) as tiff:
        page: Any = tiff.pages[0]
        if len(tiff.pages) > 1 and tiff.pages[1].shape == page.shape:
            raise ChannelsError(f"has {len(tiff.pages)} pages of {page.samplesperpixel} samples each")
        if Image.MAX_IMAGE_PIXELS is not None and page.imagelength * page.imagewidth > Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError
        if page.tags.valueof("Orientation", default=1) != 1:
            raise ValueError("its orientation says that it is turned; save it upright")
        values: np.ndarray = page.asarray()
        return np.moveaxis(values, 0, 2) if page.axes == "SYX" else values


def pages(image: Image.Image) -> list[Image.Image] | None:
    """The grey pages of a TIFF that are alike in size, which are its channels; None where it has no such."""
    count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    if count == 1 or image.mode not in GREYS:
        return None
    if Image.MAX_IMAGE_PIXELS is not None and count * image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError
    found: list[Image.Image] = []
    for number in range(count):
        image.seek(number)
        page = image.copy()
        if found and (page.mode, page.size) != (found[0].mode, found[0].size):
            image.seek(0)
            return None
        found.append(page)
    return found


def channels_first(values: np.ndarray) -> Tensor:
    """[H, W, C] as a tensor [C, H, W]."""
    # copied by numpy: torch shares so small a copy out among threads, which on a busy machine wait for one another
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))


def channels_last(image: Tensor) -> np.ndarray:
    """[C, H, W] as an array [H, W, C]."""
    return np.ascontiguousarray(image.numpy().transpose(1, 2, 0))


def converted(values: np.ndarray, channels: int, depth: int) -> np.ndarray:
    """[H, W, C] of 8 or 16 bits as uint8 or uint16 [H, W, channels], contiguous.

    Grey becomes RGB by repetition and RGB becomes grey by ITU-R 601 luma.

    Raises:
        ChannelsError: it has other channels, which are not grey or RGB.
    """
    native = np.array(values, dtype=values.dtype.newbyteorder("="), order="C")
    count = native.shape[2]
    if count != channels:
        if count not in GREY_OR_RGB or channels not in GREY_OR_RGB:
            raise other_channels(count, channels)
        native = channels_last(with_channels(torch.from_numpy(native).permute(2, 0, 1)[None], channels)[0])
    return of_depth(native, depth)


def other_channels(count: int, channels: int) -> ChannelsError:
    """What is raised where an image has `count` channels, and others are asked for."""
    return ChannelsError(
        f"has {count} channel{'s' * (count > 1)}, and data.channels={channels} asks for others: data.channels={count}"
    )


def of_depth(values: np.ndarray, depth: int) -> np.ndarray:
    """uint8 or uint16 as the one of so many bits: black stays black, and white white."""
    if values.dtype.itemsize * 8 == depth:
        return values
    if depth == 16:
        return values.astype(np.uint16) * WIDER
    return ((values.astype(np.uint32) + WIDER // 2) // WIDER).astype(np.uint8)


def shown(image: Tensor) -> Tensor:
    """What people are shown of [channels, height, width], uint8 [1 or 3, height, width]: of other channels than grey
    and RGB the first three, or the first of two. Of a volume [channels, frames, height, width] that is the frame in the
    middle, of a signal [channels, length] a drawing."""
    if image.ndim == 2:
        return drawn(image)
    image = image if image.ndim == 3 else image[:, image.shape[1] // 2]
    return torch.from_numpy(of_depth(first_shown(image).numpy(), 8))


def drawn(signal: Tensor) -> Tensor:
    """A signal's channels one below the other as dark lines, uint8 [1, `LINE` x channels, length]; each from its least
    to its greatest value."""
    values = signal.double().numpy()
    low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
    heights = np.rint((high - values) / np.where(high > low, high - low, 1.0) * (LINE - 1)).astype(np.int64)
    before = np.concatenate([heights[:, :1], heights[:, :-1]], 1)  # a stroke goes from there, so that it has no gaps
    rows = np.arange(LINE)[:, None]
    top, bottom = np.minimum(before, heights)[:, None], np.maximum(before, heights)[:, None]
    lines = np.where((rows >= top) & (rows <= bottom), 0, 255).astype(np.uint8)
    return torch.from_numpy(lines.reshape(1, -1, values.shape[1]))


def first_shown(images: Tensor) -> Tensor:
    """[..., channels, height, width] with the channels that people are shown."""
    count = images.shape[-3]
    return images if count in GREY_OR_RGB else images[..., : 3 if count > 2 else 1, :, :]


def shown_in_words(channels: int) -> str:
    """A line on what `shown` leaves out; empty where that is nothing."""
    if channels in GREY_OR_RGB:
        return ""
    first = "three are shown as red, green and blue" if channels > 2 else "is shown"
    return f"of {channels} channels the first {first}"

"""Image files to tensors, with PIL: torchvision's decoder has crashed the process on a damaged PNG."""

from __future__ import annotations

import errno
import os
import warnings
from copy import copy
from dataclasses import replace
from functools import cache
from io import BytesIO
from typing import Any, BinaryIO, ClassVar, NamedTuple, Self

import numpy as np
import torch
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from cnntrain.core.errors import ConfigError, InputError
from cnntrain.data.base import GREY_OR_RGB, Reading
from cnntrain.data.sets import bands, pictures
from cnntrain.data.sets.bands import ChannelsError, RangeError


class Kind(NamedTuple):
    """Of what is wrong with an image file: its name for scripts, and what it means."""

    name: str
    title: str


EMPTY = Kind("empty", "files of 0 bytes")
NO_IMAGE = Kind("not_an_image", "no images, whatever their names say, or of an unknown format")
DAMAGED = Kind("damaged", "damaged or cut short")
TOO_LARGE = Kind("too_large", "more pixels than the limit")
NO_RANGE = Kind("no_range", "pixels of a type without a known range: floating point, 32 bits")
MISSING = Kind("missing", "not there: listed files, links to nothing")
UNREADABLE = Kind("unreadable", "there, but may not or cannot be read")
CHANNELS = Kind("channels", "other channels than data.channels")
STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")  # of the commonest formats
KINDS = (EMPTY, NO_IMAGE, DAMAGED, TOO_LARGE, NO_RANGE, MISSING, UNREADABLE, CHANNELS)


MOST_SAMPLES = 4  # a pixel of a TIFF that is grey or RGB: RGB with alpha, or CMYK


class ImageError(InputError):
    """An image cannot be read, for a reason of one of `KINDS`."""

    def __init__(self, message: str, kind: Kind = DAMAGED):
        super().__init__(message)
        self.kind = kind


class PackageError(InputError):
    """A package is not installed that reads images of this kind: the one image is not to blame."""


class Described(NamedTuple):
    """An image as `decode` gives it, but as `pictures.picture`, and the mode and the format of its file in PIL's words,
    such as P and PNG; of what PIL does not read 5 x uint16 and NPY."""

    picture: Image.Image | np.ndarray
    mode: str
    format: str


class Decoded:
    """Images that are decoded when asked for."""

    travels: ClassVar[bool] = True  # whether it can be sent to another process, and is small

    def __init__(self, how: Reading):
        self.how = how

    def at_least(self, side: int) -> Self:
        """See `dataset.Draftable`."""
        other = copy(self)
        other.how = replace(self.how, least=side)
        return other


@cache
def formats() -> tuple[str, ...]:
    """What PIL can decode by itself: not what it only recognises, and no PostScript, which is a program that another
    program would run."""
    Image.init()
    stubs = {"EPS", "MPEG"}
    stubs |= {name for name, (reader, _) in Image.OPEN.items() if _is_stub(reader)}
    return tuple(name for name in Image.ID if name not in stubs)


def _is_stub(reader: Any) -> bool:
    return isinstance(reader, type) and issubclass(reader, ImageFile.StubImageFile)


@cache
def extensions() -> frozenset[str]:
    """Of files that `decode` reads, in lower case, with their dot."""
    readable = set(formats())
    return frozenset(each for each, name in Image.registered_extensions().items() if name in readable)


@cache
def file_extensions() -> frozenset[str]:
    """Of files in folders: besides what PIL decodes arrays, which a member of a shard may be for another purpose."""
    return extensions() | {bands.SUFFIX}


def decode(path: str, how: Reading, content: bytes | None = None) -> torch.Tensor:
    """Read the file as [channels, height, width], upright as its EXIF orientation says: uint8, or of 16 bits uint16.

    Values of 16 bits are scaled to 8 and those of 8 to 16, as `how.depth` says. Grey becomes RGB by repetition, RGB
    becomes grey by ITU-R 601 luma, and what is transparent, in whatever way, is laid on `how.background`; other
    channels are as the file has them. Of an animation the first frame is taken; the grey pages of a TIFF are its
    channels.

    Args:
        content: of the file, where it has been read already; `path` is then its name in messages.

    Raises:
        ImageError: the file is not an image, is damaged, has more than `PIL.Image.MAX_IMAGE_PIXELS`, has
            pixels of a type without a known range (floating point, 32-bit), or other channels.
        PackageError: only a package that is not installed can read it.
    """
    return bands.channels_first(pictures.as_array(described(path, how, content).picture))


def described(path: str, how: Reading, content: bytes | None = None) -> Described:
    """As `decode`, with what is told of the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on odd metadata, repeated for every epoch and worker
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with open(path, "rb") if content is None else BytesIO(content) as file:
                found = _array(file, path, how, content)
                if found is not None:
                    return found
                with Image.open(file, formats=formats()) as image:
                    mode, written_as = image.mode, str(image.format)
                    if how.least is not None and isinstance(image, JpegImageFile):
                        image.draft(None, (how.least, how.least))
                    picture = pictures.picture(image, how.channels, how.background, how.depth)
                    return Described(picture, mode, written_as)
    except ConfigError as error:
        raise PackageError(str(error)) from error
    except ChannelsError as error:
        raise ImageError(f"{path}: {error}", CHANNELS) from error
    except Exception as error:  # damaged files make PIL's decoders raise nearly any type
        kind, reason = _reason(path, content, error)
        raise ImageError(f"{path}: cannot be read as an image ({reason}): repair or remove it", kind) from error


def _array(file: BinaryIO, path: str, how: Reading, content: bytes | None) -> Described | None:
    """What is read without PIL; None: PIL is to read it."""
    start = file.read(bands.LONGEST)
    file.seek(0)
    if start == bands.NPY:
        values = bands.ordered(bands.of_npy(path, content), how.channels)
        written_as = "NPY"
    elif start.startswith(bands.TIFF) and (layout := bands.tiff_layout(file)) is not None:
        if how.channels in GREY_OR_RGB and layout.samples > MOST_SAMPLES:
            raise bands.other_channels(layout.samples, how.channels)
        if not bands.needs_tifffile(layout, how.channels, how.depth):
            return None
        values = bands.of_tiff(file, path)
        if values.dtype not in (np.uint8, np.uint16):
            raise RangeError(f"pixels of type {values.dtype} have no fixed range; save it with 8 or 16 bits")
        written_as = "TIFF"
    else:
        return None
    mode = f"{values.shape[2]} x {values.dtype.name}"
    return Described(bands.converted(values, how.channels, how.depth), mode, written_as)


def _reason(path: str, content: bytes | None, error: Exception) -> tuple[Kind, str]:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return TOO_LARGE, f"it has more pixels than the limit of {(Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million"
    if content == b"" or (content is None and os.path.isfile(path) and os.path.getsize(path) == 0):
        return EMPTY, "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return DAMAGED if _start(path, content).startswith(STARTS) else NO_IMAGE, (
            "the format is unknown or the file is damaged"
        )
    reason = str(error) or type(error).__name__
    if isinstance(error, RangeError):
        return NO_RANGE, reason
    if isinstance(error, OSError) and error.errno is not None:  # of the system; PIL's own have no number
        return MISSING if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR) else UNREADABLE, reason
    return DAMAGED, reason


def _start(path: str, content: bytes | None) -> bytes:
    """Its first few bytes."""
    if content is not None:
        return content[:8]
    with open(path, "rb") as file:
        return file.read(8)

"""Image files to tensors, with PIL: torchvision's decoder has crashed the process on a damaged PNG."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from cnntrain.core.errors import InputError
from cnntrain.data.base import Background, rgb

TURNS = {  # EXIF orientation to what undoes it; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")  # of the commonest formats
KINDS = (EMPTY, NO_IMAGE, DAMAGED, TOO_LARGE, NO_RANGE, MISSING, UNREADABLE)


class ImageError(InputError):
    """An image cannot be read, for a reason of one of `KINDS`."""

    def __init__(self, message: str, kind: Kind = DAMAGED):
        super().__init__(message)
        self.kind = kind


class RangeError(ValueError):
    """Pixels of a type without a known range."""


class Described(NamedTuple):
    """An image as `decode` gives it, but as uint8 [height, width, channels], and the mode and the format of its file in
    PIL's words, such as P and PNG."""

    values: np.ndarray
    mode: str
    format: str


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


def decode(path: str, channels: int, background: Background, content: bytes | None = None) -> torch.Tensor:
    """Read the file as uint8 [channels, height, width], upright as its EXIF orientation says.

    16-bit greys are scaled to 8 bits. What is transparent, in whatever way, is laid on `background`. Of an animation
    the first frame is taken. Grey becomes RGB by repetition, RGB becomes grey by ITU-R 601 luma.

    Args:
        content: of the file, where it has been read already; `path` is then its name in messages.

    Raises:
        ImageError: the file is not an image, is damaged, has more than `PIL.Image.MAX_IMAGE_PIXELS`, or has
            pixels of a type without a known range (floating point, 32-bit).
    """
    return _channels_first(described(path, channels, background, content).values)


def described(path: str, channels: int, background: Background, content: bytes | None = None) -> Described:
    """As `decode`, with what is told of the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on odd metadata, repeated for every epoch and worker
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path if content is None else BytesIO(content), formats=formats()) as image:
                mode, written_as = image.mode, str(image.format)
                return Described(_values(image, channels, background), mode, written_as)
    except Exception as error:  # damaged files make PIL's decoders raise nearly any type
        kind, reason = _reason(path, content, error)
        raise ImageError(f"{path}: cannot be read as an image ({reason}): repair or remove it", kind) from error


def pixels(image: Image.Image, channels: int, background: Background) -> torch.Tensor:
    """The image as uint8 [channels, height, width], as `decode` describes it.

    Raises:
        ValueError: it has pixels of a type without a known range.
    """
    return _channels_first(_values(image, channels, background))


def _channels_first(values: np.ndarray) -> torch.Tensor:
    # copied by numpy: torch shares so small a copy out among threads, which on a busy machine wait for one another
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))


def channels_last(image: torch.Tensor) -> np.ndarray:
    """[channels, height, width] to [height, width, channels]."""
    return np.ascontiguousarray(image.numpy().transpose(1, 2, 0))


def _values(image: Image.Image, channels: int, background: Background) -> np.ndarray:
    """As `pixels`, but uint8 [height, width, channels]."""
    if isinstance(image, ImageFile.ImageFile):
        image.filename = ""  # PIL would map an uncompressed file, and one that is to be turned in a wrong shape
    image.load()  # which may turn it already
    values = np.array(_plain(_upright(image), image.format, channels, background))
    return values.reshape(*values.shape[:2], channels)


def _plain(image: Image.Image, written_as: str | None, channels: int, background: Background) -> Image.Image:
    """The image in mode L or RGB, as `channels` says; `written_as` is the format of its file."""
    if image.mode == "F":
        raise RangeError("floating-point pixels have no fixed range; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        full_range = written_as in ("PNG", "PPM") or image.mode != "I"  # these readers widen values to 16 bits
        image = _grey(np.asarray(image), full_range, image.info.get("transparency"))
    if image.has_transparency_data:
        image = _laid_on(image, rgb(background))
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return image.convert("RGB" if channels == 3 else "L")


def _grey(values: np.ndarray, full_range: bool, transparent: int | None) -> Image.Image:
    """Integers of 16 bits as L, or as LA where one of them stands for what is transparent."""
    grey = Image.fromarray(_to_8_bits(values, full_range))
    if transparent is not None:
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def _laid_on(image: Image.Image, colour: Sequence[int]) -> Image.Image:
    """The image in mode RGB, composited on a ground of that colour."""
    if image.mode == "La":  # premultiplied
        image = image.convert("LA")
    ground = Image.new("RGBA", image.size, (*colour, 255))
    return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Undo the orientation. PIL's `exif_transpose` also rewrites other metadata, and fails on odd ones."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # unreadable metadata beside good pixels: nothing is known of the orientation
        return image
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _to_8_bits(values: np.ndarray, full_range: bool) -> np.ndarray:
    """Integers of 16 bits to 8: PIL's own conversion clips them at 255, which turns most images white."""
    if values.min() < 0 or values.max() > 65535:
        raise RangeError("32-bit pixels have no fixed range; save it with 8 or 16 bits")
    if not full_range and values.max() <= 255:
        return values.astype(np.uint8)
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


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

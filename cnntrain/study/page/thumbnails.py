"""Small pictures as they stand in a page, and where they come from."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image
from torch import Tensor

from cnntrain.data.sets import bands
from cnntrain.data.sets.dataset import Images

SIDE = 96  # pixels, at most
LARGE = 240  # of a picture that has to be looked into: a signal, a strip of frames, masks, boxes
EXACT = 32  # pixels a side, up to which a picture keeps every value
QUALITY = 80  # of JPEG
MOST_BYTES = 1_200_000  # of all pictures of a page
TALLEST = 576  # of a signal of many channels
FRAMES = 5  # of a volume that are shown
GAP = 2  # pixels between them
WHITE = 255

# what a network looked at, uint8 [height, width, 3], in an image as its set has it, for the answer of this position
Overlay = Callable[[Tensor, int], np.ndarray]
# of the sample at a position what the network sees, uint8 [height, width] or [height, width, 3]
Seen = Callable[[int], np.ndarray]


class Masked(NamedTuple):
    """What a network sees of an image, uint8 [height, width] or [height, width, 3], the class of each pixel and the one
    that it gives it, uint8 [height, width]."""

    image: np.ndarray
    there: np.ndarray
    given: np.ndarray


class Source(Protocol):
    """What pictures are made of, which is read when it is asked for; each raises UserError where it cannot be."""

    def images(self) -> Images:
        """Those that there are answers to, as their set has them."""
        ...

    def overlay(self) -> Overlay: ...

    def seen(self) -> Seen: ...

    def masks(self) -> Callable[[int], Masked]: ...


@dataclass
class Album:
    """The pictures of a page, as far as their limits allow.

    Attributes:
        seconds: that they may take, by the clock, from the first one on.
        is_full: there were more than these limits allow.
    """

    source: Source
    seconds: float
    clock: Callable[[], float] = time.monotonic
    is_full: bool = False
    _bytes: int = 0
    _until: float | None = None

    def room(self, positions: Iterable[int]) -> Iterator[int]:
        """Those of the positions that there is still room for."""
        self._until = self.clock() + self.seconds if self._until is None else self._until
        for position in positions:
            if self._bytes > MOST_BYTES or self.clock() > self._until:
                self.is_full = True
                return
            yield position

    def is_half_done(self) -> bool:
        """Whether half of the time is over."""
        return self._until is not None and self.clock() >= self._until - self.seconds / 2

    def kept(self, pixels: np.ndarray, side: int = SIDE, exact: int = EXACT, flat: bool = False) -> str:
        """Its address, see `uri`."""
        found = uri(pixels, side, exact, flat)
        self._bytes += len(found)
        return found


@dataclass
class Thumbnails:
    """Samples as their set has them, by position, and what the network looked at, as data URIs.

    Attributes:
        is_small: none is larger than `EXACT`, so that a browser shows their pixels as squares.
        is_wide: they are signals, or strips of frames.
    """

    album: Album
    images: Images
    overlay: Overlay | None = None
    pictures: dict[int, str] = field(default_factory=dict)
    overlays: dict[int, str] = field(default_factory=dict)
    is_small: bool = True
    is_wide: bool = False

    def add(self, positions: Iterable[int], answers: np.ndarray | None = None) -> None:
        """Take the samples at these positions, as far as there is room.

        Args:
            answers: positions of classes by position of image; then what was looked at is shown too, where there is
                an overlay.

        Raises:
            InputError: one cannot be read.
        """
        for position in self.album.room(each for each in positions if each not in self.pictures):
            image = self.images[position]
            self.is_small &= max(image.shape[-2:]) <= EXACT
            self.is_wide |= image.ndim != 3
            self.pictures[position] = self._picture(image)
            # the other half of the time is for images alone
            if self.overlay is not None and answers is not None and not self.album.is_half_done():
                self.overlays[position] = self.album.kept(self.overlay(image, int(answers[position])))

    def _picture(self, image: Tensor) -> str:
        if image.ndim == 2:
            return self.album.kept(line(image), TALLEST, flat=True)
        if image.ndim == 4:
            return self.album.kept(strip(image), LARGE, LARGE)
        return self.album.kept(pixels(image))


def line(signal: Tensor) -> np.ndarray:
    """A signal [channels, length] as dark lines, uint8 [height, width]; of a long one those values that a column of
    pixels has room for."""
    drawn = bands.drawn(signal)[0].numpy()
    times = -(-drawn.shape[1] // LARGE)
    missing = -drawn.shape[1] % times
    padded = np.pad(drawn, ((0, 0), (0, missing)), constant_values=WHITE)
    return padded.reshape(len(padded), -1, times).min(2)


def strip(volume: Tensor) -> np.ndarray:
    """Frames of a volume [channels, frames, height, width] side by side, spread evenly from the first to the last."""
    count = volume.shape[1]
    chosen = np.unique(np.linspace(0, count - 1, min(FRAMES, count)).round().astype(int)).tolist()
    frames = [pixels(volume[:, each]) for each in chosen]
    gap = np.full((len(frames[0]), GAP, *frames[0].shape[2:]), WHITE, np.uint8)
    return np.concatenate([each for frame in frames for each in (gap, frame)][1:], 1)


def pixels(image: Tensor) -> np.ndarray:
    """uint8 [height, width] or [height, width, 3] of an image [channels, height, width]."""
    found = bands.shown(image).permute(1, 2, 0).numpy()
    return found[..., 0] if found.shape[2] == 1 else found


def uri(pixels: np.ndarray, side: int = SIDE, exact: int = EXACT, flat: bool = False) -> str:
    """A picture as an address that holds it: PNG of a small one, of others JPEG of at most `side` pixels a side.

    Args:
        pixels: uint8 [height, width] or [height, width, 3].
        exact: pixels a side, up to which it is small.
        flat: it has few colours, of which none is to be mixed of two: always a PNG.
    """
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    content = io.BytesIO()
    if flat or max(picture.size) <= exact:
        if max(picture.size) > side:
            picture.thumbnail((side, side), Image.Resampling.NEAREST)
        picture.save(content, "PNG")
        kind = "png"
    else:
        picture.thumbnail((side, side), Image.Resampling.BICUBIC)
        picture.save(content, "JPEG", quality=QUALITY)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"

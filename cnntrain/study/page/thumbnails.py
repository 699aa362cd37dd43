"""Small pictures of images, as they stand in a page."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image

from cnntrain.data.sets import bands
from cnntrain.data.sets.dataset import Images

SIDE = 96  # pixels, at most
EXACT = 32  # pixels a side, up to which a picture keeps every value
QUALITY = 80  # of JPEG
MOST_BYTES = 1_200_000  # of all pictures of a page

# what a network looked at, uint8 [height, width, 3], in an image as its set has it, for the answer of this position
Overlay = Callable[[torch.Tensor, int], np.ndarray]


@dataclass
class Album:
    """Pictures of a part's images by position, as data URIs.

    Attributes:
        seconds: that reading may take, by the clock, from the first image on.
        is_full: there were more than these limits allow.
        is_small: none is larger than `EXACT`, so that a browser shows their pixels as squares.
    """

    images: Images
    seconds: float
    clock: Callable[[], float] = time.monotonic
    overlay: Overlay | None = None
    pictures: dict[int, str] = field(default_factory=dict)
    overlays: dict[int, str] = field(default_factory=dict)
    is_full: bool = False
    is_small: bool = True
    _bytes: int = 0
    _until: float | None = None

    def add(self, positions: Iterable[int], answers: np.ndarray | None = None) -> None:
        """Take the images at these positions, as far as the limits allow.

        Args:
            answers: positions of classes by position of image; then what was looked at is shown too, where there is
                an overlay.

        Raises:
            InputError: an image cannot be read.
        """
        self._until = self.clock() + self.seconds if self._until is None else self._until
        for position in positions:
            if position in self.pictures:
                continue
            if self._bytes > MOST_BYTES or self.clock() > self._until:
                self.is_full = True
                return
            image = self.images[position]
            self.is_small &= max(image.shape[-2:]) <= EXACT
            self.pictures[position] = self._kept(_pixels(image))
            if self.overlay is None or answers is None:
                continue
            if self.clock() < self._until - self.seconds / 2:  # the other half is for images alone
                self.overlays[position] = self._kept(self.overlay(image, int(answers[position])))

    def _kept(self, pixels: np.ndarray) -> str:
        found = uri(pixels)
        self._bytes += len(found)
        return found


def _pixels(image: torch.Tensor) -> np.ndarray:
    """uint8 [height, width] or [height, width, 3] of an image [channels, height, width]."""
    pixels = bands.shown(image).permute(1, 2, 0).numpy()
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def uri(pixels: np.ndarray) -> str:
    """A picture as an address that holds it: PNG of a small one, of others JPEG of at most `SIDE` pixels a side.

    Args:
        pixels: uint8 [height, width] or [height, width, 3].
    """
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    content = io.BytesIO()
    if max(picture.size) <= EXACT:
        picture.save(content, "PNG")
        kind = "png"
    else:
        picture.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
        picture.save(content, "JPEG", quality=QUALITY)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"

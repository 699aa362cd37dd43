"""Images that are made worse, always alike, to see how far an accuracy holds (Hendrycks & Dietterich 2019,
arXiv:1903.12261, whose strengths these are; rotation is added, and patches, by which shape is lost and texture stays:
Zhang & Zhu 2019, arXiv:1905.09797)."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torchvision.transforms.v2 import functional

from cnntrain.data.sets.dataset import Images, at_least

STRENGTHS = 5
NATIVE = 224  # pixels a side

Corruption = Callable[[Image.Image, int, np.random.Generator], Image.Image]


def _noise(image: Image.Image, strength: int, draws: np.random.Generator) -> Image.Image:
    deviation = 255 * (0.08, 0.12, 0.18, 0.26, 0.38)[strength]
    pixels = np.asarray(image, dtype=np.float64)
    return Image.fromarray(np.clip(pixels + draws.normal(0, deviation, pixels.shape), 0, 255).round().astype(np.uint8))


def _blur(image: Image.Image, strength: int, draws: np.random.Generator) -> Image.Image:
    """Of the radius for images of `NATIVE` pixels in proportion, but at least that of their CIFAR-10-C."""
    radius = max((1, 2, 3, 4, 6)[strength] * min(image.size) / NATIVE, (0.4, 0.6, 0.7, 0.8, 1)[strength])
    return image.filter(ImageFilter.GaussianBlur(radius))


def _contrast(image: Image.Image, strength: int, draws: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float64)
    mean = pixels.mean(axis=(0, 1), keepdims=True)
    share = (0.4, 0.3, 0.2, 0.1, 0.05)[strength]
    return Image.fromarray(np.clip(mean + share * (pixels - mean), 0, 255).round().astype(np.uint8))


def _jpeg(image: Image.Image, strength: int, draws: np.random.Generator) -> Image.Image:
    stored = io.BytesIO()
    image.save(stored, "JPEG", quality=(25, 18, 15, 10, 7)[strength])
    return Image.open(stored).convert(image.mode)


def _rotation(image: Image.Image, strength: int, draws: np.random.Generator) -> Image.Image:
    """To the one side or the other; what comes in at the corners has the image's mean colour."""
    angle = (5, 10, 15, 20, 30)[strength] * draws.choice([-1, 1])
    mean = np.asarray(image).mean(axis=(0, 1)).round().astype(int)
    fill = tuple(mean.tolist()) if mean.ndim else int(mean)
    return image.rotate(float(angle), Image.Resampling.BILINEAR, fillcolor=fill)


def _patches(image: Image.Image, strength: int, draws: np.random.Generator) -> Image.Image:
    """Cut into squares as on a board, which are put back in another order; what no whole square covers stays."""
    side = (2, 3, 4, 6, 8)[strength]
    pixels = np.array(image)
    high, wide = pixels.shape[0] // side, pixels.shape[1] // side
    squares = [
        np.s_[row * high : (row + 1) * high, col * wide : (col + 1) * wide] for row, col in np.ndindex(side, side)
    ]
    taken = [pixels[each].copy() for each in squares]
    for place, source in zip(squares, draws.permutation(len(squares)), strict=True):
        pixels[place] = taken[source]
    return Image.fromarray(pixels)


CORRUPTIONS: Mapping[str, Corruption] = {
    "noise": _noise, "blur": _blur, "contrast": _contrast, "jpeg": _jpeg, "rotation": _rotation,
    "patches": _patches,
}  # fmt: skip


@dataclass(frozen=True)
class Corrupted:
    """Images of which each is made worse, by draws that depend on its position alone.

    Attributes:
        kind: of `CORRUPTIONS`.
        strength: from 1 to `STRENGTHS`.
    """

    images: Images
    kind: str
    strength: int

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        draws = np.random.default_rng([index, self.strength, *self.kind.encode()])
        image = functional.to_pil_image(self.images[index])
        worse: Tensor = functional.pil_to_tensor(CORRUPTIONS[self.kind](image, self.strength - 1, draws))
        return worse.to(torch.uint8)

    def at_least(self, side: int) -> Corrupted:
        """See `Draftable`."""
        return replace(self, images=at_least(self.images, side))

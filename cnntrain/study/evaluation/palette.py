"""Colours of classes, and masks painted over their images."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from cnntrain.core.targets import IGNORE

OPACITY = 0.55
BITS = 8
OF_NONE = (224, 224, 192)  # pixels that are ignored, as in the PASCAL VOC masks


def colours(classes: int) -> np.ndarray:
    """uint8 [classes, 3], as those of the PASCAL VOC masks (Everingham et al. 2010): the bits of a class's number are
    dealt out to red, green and blue, the highest first. The first is black."""
    found = np.zeros((classes, 3), np.uint8)
    for number in range(classes):
        for place in range(BITS):
            for channel in range(3):
                found[number, channel] |= ((number >> (3 * place + channel)) & 1) << (BITS - 1 - place)
    return found


def overlay(image: np.ndarray, mask: np.ndarray, classes: int) -> bytes:
    """A PNG of an image under its mask; pixels of the first class, which is the background where there is one, and
    those that are ignored are as they are.

    Args:
        image: [height, width, 1 or 3], from 0 to 1.
        mask: uint8 [height, width].
    """
    pixels = np.broadcast_to(image[..., :3], (*mask.shape, 3)).copy()
    painted = (mask > 0) & (mask != IGNORE)
    pixels[painted] = (1 - OPACITY) * pixels[painted] + OPACITY / 255 * colours(classes)[mask[painted]]
    return png(Image.fromarray(np.rint(255 * pixels.clip(0, 1)).astype(np.uint8)))


def painted(mask: np.ndarray, classes: int) -> np.ndarray:
    """A mask, uint8 [height, width], in the colours of its classes, uint8 [height, width, 3]."""
    table = np.full((IGNORE + 1, 3), OF_NONE, np.uint8)
    table[:classes] = colours(classes)
    return table[mask]


def indexed(mask: np.ndarray, classes: int) -> bytes:
    """A PNG whose pixels are the numbers of classes, shown in their colours: it can be read again as a mask."""
    image = Image.fromarray(mask)
    image.putpalette(colours(classes).ravel().tolist())
    return png(image)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()

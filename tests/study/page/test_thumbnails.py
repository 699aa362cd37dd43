"""Small pictures that stand in a page."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from cnntrain.study.page.thumbnails import uri


def opened(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2])))


@pytest.mark.parametrize("shape", [(8, 8), (28, 28, 3)])
def test_a_small_picture_keeps_every_value(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert uri(pixels).startswith("data:image/png;base64,")
    assert np.array_equal(np.asarray(opened(uri(pixels))), pixels)


def test_a_large_one_is_made_small() -> None:
    pixels = np.full((300, 150, 3), 100, np.uint8)
    with opened(uri(pixels)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (48, 96))
        assert np.abs(np.asarray(picture).astype(int) - 100).max() <= 2

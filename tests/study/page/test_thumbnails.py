"""Small pictures that stand in a page."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from cnntrain.study.page.thumbnails import Album, uri


def opened(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2])))


@pytest.mark.parametrize("shape", [(8, 8), (28, 28, 3)])
def test_a_small_picture_keeps_every_value(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert uri(pixels).startswith("data:image/png;base64,")
    assert np.array_equal(np.asarray(opened(uri(pixels))), pixels)


def test_other_channels_and_depths_are_shown_as_grey_or_rgb() -> None:
    images = torch.full((2, 5, 40, 40), 25700, dtype=torch.uint16)  # 100 of 255
    album = Album(images, 60)
    album.add([0, 1])
    with opened(album.pictures[1]) as picture:
        assert picture.mode == "RGB" and np.abs(np.asarray(picture).astype(int) - 100).max() <= 2
    grey = Album(torch.full((1, 2, 8, 8), 7, dtype=torch.uint8), 60)
    grey.add([0])
    assert np.asarray(opened(grey.pictures[0])).tolist() == [[7] * 8] * 8


def test_a_large_one_is_made_small() -> None:
    pixels = np.full((300, 150, 3), 100, np.uint8)
    with opened(uri(pixels)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (48, 96))
        assert np.abs(np.asarray(picture).astype(int) - 100).max() <= 2


def test_what_was_looked_at_takes_half_of_the_time_at_most() -> None:
    now = iter(range(0, 1000, 1))
    album = Album(
        torch.zeros(40, 1, 8, 8, dtype=torch.uint8),
        20,
        clock=lambda: float(next(now)),
        overlay=lambda image, answer: np.zeros((8, 8, 3), np.uint8),
    )
    album.add(range(40), np.zeros(40, np.int64))
    # the clock is asked once at the start and twice an image
    assert (len(album.overlays), len(album.pictures), album.is_full) == (4, 10, True)

"""Small pictures that stand in a page."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from sources import Given

from cnntrain.study.page import thumbnails
from cnntrain.study.page.thumbnails import Album, Thumbnails, uri


def opened(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2])))


@pytest.mark.parametrize("shape", [(8, 8), (28, 28, 3)])
def test_a_small_picture_keeps_every_value(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert uri(pixels).startswith("data:image/png;base64,")
    assert np.array_equal(np.asarray(opened(uri(pixels))), pixels)


def test_other_channels_and_depths_are_shown_as_grey_or_rgb() -> None:
    images = torch.full((2, 5, 40, 40), 25700, dtype=torch.uint16)  # 100 of 255
    shown = Thumbnails(Album(Given(images), 60), images)
    shown.add([0, 1])
    with opened(shown.pictures[1]) as picture:
        assert picture.mode == "RGB" and np.abs(np.asarray(picture).astype(int) - 100).max() <= 2
    two = torch.full((1, 2, 8, 8), 7, dtype=torch.uint8)
    grey = Thumbnails(Album(Given(two), 60), two)
    grey.add([0])
    assert np.asarray(opened(grey.pictures[0])).tolist() == [[7] * 8] * 8


def test_a_large_one_is_made_small() -> None:
    pixels = np.full((300, 150, 3), 100, np.uint8)
    with opened(uri(pixels)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (48, 96))
        assert np.abs(np.asarray(picture).astype(int) - 100).max() <= 2


def test_what_was_looked_at_takes_half_of_the_time_at_most() -> None:
    now = iter(range(0, 1000, 1))
    images = torch.zeros(40, 1, 8, 8, dtype=torch.uint8)
    album = Album(Given(images), 20, clock=lambda: float(next(now)))
    shown = Thumbnails(album, images, overlay=lambda image, answer: np.zeros((8, 8, 3), np.uint8))
    shown.add(range(40), np.zeros(40, np.int64))
    # the clock is asked once at the start and twice an image
    assert (len(shown.overlays), len(shown.pictures), album.is_full) == (4, 10, True)


def test_a_long_signal_keeps_its_strokes() -> None:
    signal = torch.zeros(2, 5000)
    signal[0, 3333], signal[1] = 1.0, torch.arange(5000) / 5000
    found = thumbnails.line(signal)
    assert found.shape[0] == 96 and 200 < found.shape[1] <= thumbnails.LARGE
    assert (found[0] == 0).sum() == 1  # the one peak
    assert (found == 0).any(0).all()  # no gaps
    short = torch.arange(40.0)[None]
    assert np.array_equal(thumbnails.line(short), thumbnails.bands.drawn(short)[0].numpy())


def test_a_volume_is_a_strip_of_its_frames() -> None:
    volume = torch.arange(0, 80, 10, dtype=torch.uint8)[None, :, None, None].expand(1, 8, 4, 4)
    found = thumbnails.strip(volume)
    assert found.shape == (4, 5 * 4 + 4 * thumbnails.GAP)
    assert found[0, :: 4 + thumbnails.GAP].tolist() == [0, 20, 40, 50, 70]
    shown = Thumbnails(Album(Given(volume[None]), 60), volume[None])
    shown.add([0])
    assert shown.is_wide and np.array_equal(np.asarray(opened(shown.pictures[0])), found)
    assert thumbnails.strip(volume[:, :1]).shape == (4, 4)

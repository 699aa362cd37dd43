"""What a network is given within a program is, to the pixel, what `Preprocess` gives it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.export.preprocessing import SeenInGraph

# as they are, one pixel, very long ones, one side alone resized, much higher than wide, where Pillow 13 begins with y
SIZES = ((32, 32), (1, 1), (7, 700), (700, 7), (33, 31), (100, 37), (120, 300), (90, 211))


def preprocess(**changes: Any) -> Preprocess:
    usual: dict[str, Any] = {
        "channels": 3, "image_size": 32, "crop": "center", "crop_fraction": 0.875, "interpolation": "bilinear",
        "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3], "background": "white",
    }  # fmt: skip
    return Preprocess(**{**usual, **changes})


def largest_difference(seen: Preprocess) -> float:
    """Of what is seen, in grey levels of the images."""
    found, module = [], SeenInGraph(seen)
    for number, size in enumerate(SIZES):
        generator = torch.Generator().manual_seed(number)
        image = torch.randint(0, 256, (seen.channels, *size), dtype=torch.uint8, generator=generator)
        expected = seen(seen.fit(image, 0)[0][None], torch.device("cpu"), torch.float32)
        given = module(image.permute(1, 2, 0)[None])
        found.append((given - expected).abs().max() * 255 * max(seen.std))
    return float(max(found))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "box", "hamming", "lanczos"])
@pytest.mark.parametrize("crop", ["center", "pad", "squash"])
def test_images_of_any_size_are_seen_as_an_evaluation_sees_them(interpolation: str, crop: str) -> None:
    fraction = {"center": 0.875, "pad": 1.0, "squash": 0.9}[crop]
    seen = preprocess(interpolation=interpolation, crop=crop, crop_fraction=fraction)
    assert largest_difference(seen) < 1e-4


def test_grey_images_are_seen_as_an_evaluation_sees_them() -> None:
    assert largest_difference(preprocess(channels=1, mean=[0.5], std=[0.5], crop_fraction=1.0)) < 1e-4


def test_images_of_other_channels_are_seen_as_an_evaluation_sees_them() -> None:
    assert largest_difference(preprocess(channels=5, mean=[0.1, 0.3, 0.5, 0.7, 0.9], std=[0.2] * 5, crop="pad")) < 1e-4


def test_the_nearest_pixel_is_taken_where_one_is_nearest() -> None:
    seen = preprocess(interpolation="nearest", crop="squash", crop_fraction=1.0)
    image = torch.randint(0, 256, (3, 45, 77), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = seen(seen.fit(image, 0)[0][None], torch.device("cpu"), torch.float32)
    assert torch.equal(SeenInGraph(seen)(image.permute(1, 2, 0)[None]), expected)


def test_a_border_has_the_mean_colour() -> None:
    image = torch.zeros(3, 8, 32, dtype=torch.uint8)
    seen = SeenInGraph(preprocess(crop="pad", crop_fraction=1.0))(image.permute(1, 2, 0)[None])
    assert seen[0, :, 0].abs().max() < 0.02  # a grey level of it
    assert seen[0, :, 16].max() < -1

"""Images from Python are what the same image in a file is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cnntrain.core.errors import InputError
from cnntrain.data.base import Reading
from cnntrain.data.sets.decode import decode
from cnntrain.data.sets.given import given

GREY = np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
RGBA = np.random.default_rng(2).integers(0, 256, (5, 7, 4), dtype=np.uint8)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).permute(2, 0, 1) if array.ndim == 3 else torch.from_numpy(array)


def as_fraction(array: np.ndarray, kind: Any) -> np.ndarray:
    return (array / 255).astype(kind)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("array", [GREY, GREY[:, :, None], RGB, RGBA], ids=["hw", "hw1", "hw3", "hw4"])
def test_every_kind_is_what_its_file_is(tmp_path: Path, array: np.ndarray, channels: int) -> None:
    drawn = Image.fromarray(array[:, :, 0] if array.shape[2:] == (1,) else array)
    drawn.save(tmp_path / "x.png")
    expected = decode(str(tmp_path / "x.png"), Reading(channels, "white"))
    read_only = array.copy()
    read_only.flags.writeable = False
    kinds = [
        tmp_path / "x.png", str(tmp_path / "x.png"), drawn, Image.open(tmp_path / "x.png"), array, read_only,
        array[::-1][::-1], as_fraction(array, np.float16), as_fraction(array, np.float32), as_fraction(array, ">f8"),
        tensor(array), tensor(array) / 255, (tensor(array) / 255).requires_grad_(),
    ]  # fmt: skip
    assert expected.shape == (channels, 5, 7)
    for each in kinds:
        found = given(each, Reading(channels, "white"))
        assert found.dtype == torch.uint8 and torch.equal(found, expected), type(each)


def test_half_precision_is_as_near_as_it_can_be() -> None:
    assert (
        given((tensor(RGB) / 255).bfloat16(), Reading(3, "white")).int() - given(RGB, Reading(3, "white")).int()
    ).abs().max() <= 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({}, "a dict is not an image: give a file, a PIL image, an array or a tensor"),
        ([RGB], "a list is not an image"),
        (None, "a NoneType is not an image"),
        (RGB.transpose(2, 0, 1), r"an array of shape \[3, 5, 7\] is not an image: its shape must be \[height, w"),
        (RGB[None], r"an array of shape \[1, 5, 7, 3\] is not an image"),
        (RGB[0, 0], r"an array of shape \[3\] is not an image"),
        (RGBA[:, :, :2], r"an array of shape \[5, 7, 2\] is not an image"),
        (torch.from_numpy(RGB), r"a tensor of shape \[5, 7, 3\] is .*; of a tensor the channels come first"),
        (torch.zeros(2, 3, 5, 7), r"an array of shape \[2, 3, 5, 7\] is not an image"),
        (GREY / 1.0, "floating-point pixels from 4 to 248 are of no known range: they must be uint8, or"),
        (torch.full((3, 5, 7), -0.5), "floating-point pixels from -0.5 to -0.5 are of no known range"),
        (np.full((5, 7), np.nan), "floating-point pixels from nan to nan are of no known range"),
        (np.full((5, 7), np.inf), "floating-point pixels from inf to inf are of no known range"),
        (RGB.astype(np.int64), "pixels of type int64 are of no known range: they must be uint8, or floating"),
        (RGB.astype(np.uint16), "pixels of type uint16 are of no known range"),
        (GREY > 9, "pixels of type bool are of no known range"),
        (torch.zeros(3, 5, 7, dtype=torch.int8), "pixels of type int8 are of no known range"),
        (RGB.astype(complex), "pixels of type complex128 are of no known range"),
        (RGB.astype(object), "pixels of type object are of no known range"),
        (np.zeros((0, 7, 3), np.uint8), "an image without pixels cannot be judged"),
        (torch.zeros(3, 5, 0), "an image without pixels cannot be judged"),
        (Image.new("L", (0, 5)), "an image without pixels cannot be judged"),
        (Image.new("F", (5, 5)), "a PIL image of mode F cannot be read: floating-point pixels have no fixed range"),
        (Image.new("I", (5, 5), 70000), "a PIL image of mode I cannot be read: 32-bit pixels have no fixed range"),
    ],
)
def test_what_is_no_image_is_said_in_a_line(image: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        given(image, Reading(3, "white"))
    assert "\n" not in str(caught.value)


def test_a_damaged_file_that_pil_has_not_read_yet_is_named_as_damage(tmp_path: Path) -> None:
    Image.fromarray(RGB.repeat(40, 0).repeat(40, 1)).save(tmp_path / "x.jpg")
    content = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(content[: len(content) // 2])
    with (
        Image.open(tmp_path / "x.jpg") as image,
        pytest.raises(InputError, match="cannot be read: image file is trunc"),
    ):
        given(image, Reading(3, "white"))

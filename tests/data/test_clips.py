"""Volumes: the moving digits, arrays and folders of frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cnntrain.core.errors import InputError
from cnntrain.data.moving_digits import DIRECTIONS

SMALL = {"train_size": 16, "val_size": 8, "test_size": 8}


def test_a_digit_moves_in_its_classs_direction_round_the_canvas(make: Callable[..., Any]) -> None:
    data = make("moving_digits", **SMALL).load()
    assert data.classes == list(DIRECTIONS) and data.native_frames == 8 and data.native_size == 24
    for index in range(16):
        way = DIRECTIONS[data.classes[data.train.labels[index]]]
        volume = data.train.images[index][0]
        assert volume.any() and volume.shape == (8, 24, 24)
        for frame in range(7):
            assert torch.equal(volume[frame + 1], volume[frame].roll(way, (0, 1)))


def test_a_sample_is_a_function_of_seed_and_index(make: Callable[..., Any]) -> None:
    few, more = make("moving_digits", **SMALL).load(), make("moving_digits", **SMALL | {"train_size": 24}).load()
    other = make("moving_digits", **SMALL, split_seed=1).load()
    assert all(torch.equal(few.train.images[each], more.train.images[each]) for each in range(16))
    assert not torch.equal(few.train.images[0], other.train.images[0]) and few.fingerprint != more.fingerprint


def test_no_frame_tells_the_class(make: Callable[..., Any]) -> None:
    """Where the digit is does not depend on the direction: each class's mean frame is as even as the others'."""
    data = make("moving_digits", train_size=4000, val_size=8, test_size=0).load()
    frames = data.train.images.tensor[:, 0].double()  # type: ignore[attr-defined]
    labels = torch.from_numpy(data.train.labels)
    for frame in (0, 7):
        means = torch.stack([frames[labels == each, frame].mean(0) for each in range(8)])
        spread = frames[:500, frame].std(0).mean() / 500**0.5  # of a mean of 500
        assert (means - means.mean()).square().mean().sqrt() < 1.2 * spread


def write(root: Path, as_frames: bool) -> None:
    for name in "ab":
        for number in range(6):
            volume = np.random.default_rng(number + 10 * (name == "b")).integers(0, 256, (3, 6, 5), np.uint8)
            place = root / name / f"clip{number}"
            place.mkdir(parents=True) if as_frames else place.parent.mkdir(parents=True, exist_ok=True)
            for frame, pixels in enumerate(volume) if as_frames else ():
                Image.fromarray(pixels).save(place / f"{frame:03d}.png")
            if not as_frames:
                np.save(place.with_suffix(".npy"), volume)


def test_arrays_and_folders_of_the_same_frames_are_alike(make: Callable[..., Any], tmp_path: Path) -> None:
    for name in ("volumes", "frames"):
        write(tmp_path / name, name == "frames")
    (tmp_path / "frames" / "a" / "notes.txt").touch()
    arrays, clips = (make(name, root=str(tmp_path / name), channels=1).load() for name in ("volumes", "frames"))
    assert [each.removesuffix(".npy") for each in arrays.train.ids] == list(clips.train.ids)
    assert torch.equal(arrays.train.images[0], clips.train.images[0]) and arrays.train.images[0].shape == (1, 3, 6, 5)
    assert clips.notes == [f"left out of {tmp_path / 'frames'}: 1 that are no folders of frames"]
    grey, rgb = arrays.val.images[0], make("volumes", root=str(tmp_path / "volumes")).load().val.images[0]
    assert torch.equal(rgb, grey.expand(3, -1, -1, -1))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 3)), "values of type float64; save it with 8 or 16 bits"),
        (np.zeros((2, 3), np.uint8), r"has the shape \[2, 3\], and \[frames, H, W\]"),
        (np.zeros((2, 3, 3, 4), np.uint8), "has 4 channels, and data.channels=1 asks for others"),
        (np.array([{}]), "cannot be read as an array of frames"),
    ],
)
def test_an_array_that_is_no_volume_says_why(
    make: Callable[..., Any], tmp_path: Path, values: np.ndarray, message: str
) -> None:
    write(tmp_path, False)
    data = make("volumes", root=str(tmp_path), channels=1).load()
    np.save(tmp_path / data.train.ids[0], values)
    with pytest.raises(InputError, match=message):
        data.train.images[0]


def test_frames_of_two_sizes_are_no_clip(make: Callable[..., Any], tmp_path: Path) -> None:
    write(tmp_path, True)
    data = make("frames", root=str(tmp_path), channels=1).load()
    Image.new("L", (9, 9)).save(tmp_path / data.train.ids[0] / "001.png")
    with pytest.raises(InputError, match=r"001\.png has another size than 000\.png"):
        data.train.images[0]

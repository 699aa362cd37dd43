"""Signals and volumes that are handed over from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cnntrain.core.errors import InputError
from cnntrain.data.base import Reading
from cnntrain.data.sets.given_sides import sample

SIGNAL, LENGTH = Reading(1, "white", 32), (1, 4)
VOLUME, SIDES = Reading(1, "white"), (1, 2, 8, 8)
VALUES = np.array([0.5, -2.0, 3.0, 0.25])
FRAMES = np.random.default_rng(0).integers(0, 256, (3, 5, 6), np.uint8)


def test_a_signal_is_numbers_or_a_file_of_one(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", VALUES)
    np.save(tmp_path / "two.npy", np.zeros((2, 4)))
    given = (VALUES, VALUES[None], torch.from_numpy(VALUES), tmp_path / "one.npy", str(tmp_path / "one.npy"))
    for each in given:
        found = sample(each, SIGNAL, LENGTH)
        assert found.dtype == torch.float32 and found.tolist() == [VALUES.tolist()]
    wrong: list[tuple[Any, str]] = [
        (VALUES[:3], r"numbers of the shape \[3\] is no signal of 1 x 4"),
        (np.array([1.0, 2.0, 3.0, np.nan]), "missing or no finite"),
        (Image.new("L", (4, 1)), "an? Image is no signal"),
        (tmp_path / "two.npy", "holds 2 signals, and one is a sample"),
    ]
    for value, message in wrong:
        with pytest.raises(InputError, match=message):
            sample(value, SIGNAL, LENGTH)


def test_a_volume_is_an_array_a_tensor_a_file_or_a_folder_of_frames(tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", FRAMES)
    (tmp_path / "clip").mkdir()
    for number, each in enumerate(FRAMES):
        Image.fromarray(each).save(tmp_path / "clip" / f"{number}.png")
    given = (FRAMES, FRAMES[..., None], torch.from_numpy(FRAMES)[None], tmp_path / "clip.npy", tmp_path / "clip")
    for each in given:
        found = sample(each, VOLUME, SIDES)
        assert found.dtype == torch.uint8 and np.array_equal(found.numpy(), FRAMES[None])
    coloured = sample(np.repeat(FRAMES[..., None], 3, 3), VOLUME, SIDES)
    assert np.array_equal(coloured.numpy(), FRAMES[None])
    wrong: list[tuple[Any, str]] = [
        (FRAMES[0], "a volume's"),
        (FRAMES.astype(np.float32), "save it with 8 or 16 bits"),
        (np.zeros((3, 5, 6, 4), np.uint8), "has 4 channels"),
        (7, "an? int is no volume"),
        (tmp_path / "none.npy", "No such file"),
    ]
    for value, message in wrong:
        with pytest.raises(InputError, match=message):
            sample(value, VOLUME, SIDES)

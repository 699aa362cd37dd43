"""Scenes are a function of their seed, and their masks and boxes say exactly what is where."""

from __future__ import annotations

import numpy as np
import torch
from composing import composed
from torchvision import tv_tensors

from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.data.digit_scenes import DigitScenes
from cnntrain.data.sets.scenes import INK, NOISE, Canvas, scene

CANVAS = Canvas(48, 1, 4, 12, 20)
DIGITS = np.stack([np.full((8, 8), 255, np.uint8), np.tri(8, dtype=np.uint8) * 255])


def source(**keys: object) -> DigitScenes:
    asked = {"train_size": 12, "val_size": 5, "test_size": 5, **keys}
    words = ["task=segment", "data=digit_scenes", *(f"data.{key}={value}" for key, value in asked.items())]
    found = check(composed(words), Train).data
    assert isinstance(found, DigitScenes)
    return found


def test_masks_and_boxes_are_exact() -> None:
    for number in range(20):
        found = scene(DIGITS, np.array([3, 7]), CANVAS, 0, number)
        bright = found.image > NOISE
        assert np.array_equal(bright, found.mask > 0), "what is brighter than the background is a digit"
        assert set(np.unique(found.mask)) - {0} == set(found.labels + 1)
        for label, (left, top, right, bottom), k in zip(found.labels, found.boxes, range(1, 5), strict=False):
            rows, columns = np.nonzero(found.instances == k)
            assert (found.mask[rows, columns] == label + 1).all()
            assert (left, top, right - 1, bottom - 1) == (columns.min(), rows.min(), columns.max(), rows.max())
    assert INK * 0.6 > NOISE


def test_a_scene_is_a_function_of_seed_and_number() -> None:
    one, other = (scene(DIGITS, np.array([3, 7]), CANVAS, 0, 1) for _ in range(2))
    assert np.array_equal(one.image, other.image) and np.array_equal(one.instances, other.instances)
    assert not np.array_equal(one.image, scene(DIGITS, np.array([3, 7]), CANVAS, 0, 2).image)


def test_the_set_has_masks_whose_classes_are_its_labels() -> None:
    data = source().load()
    assert data.fingerprint == source().load().fingerprint != source(split_seed=1).load().fingerprint
    assert data.train.targets is not None and len(data.train) == 12 and len(data.classes) == 11
    image, mask = data.train.sample(3)
    assert isinstance(mask, tv_tensors.Mask) and mask.shape == image.shape[1:] == (64, 64)
    assert torch.unique(mask).tolist() == np.flatnonzero(data.train.labels[3]).tolist()

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from cnntrain.data.sets.arrays import ArrayImages, Arrays, array_set


def arrays(seed: int = 0, count: int = 6) -> Arrays:
    images = np.random.default_rng(seed).integers(0, 256, (count, 3, 5, 5), dtype=np.uint8)
    return Arrays(images, np.arange(count) % 2, [f"a/{i}" for i in range(count)])


def test_colour_to_grey_is_pils() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2000, 3, 4, 4), dtype=np.uint8)  # more than a block
    grey = ArrayImages(images, 1)
    assert grey.tensor.shape == (2000, 1, 4, 4)
    for index in (0, 1023, 1024, 1999):
        reference = Image.fromarray(images[index].transpose(1, 2, 0)).convert("L")
        np.testing.assert_array_equal(grey[index][0].numpy(), np.asarray(reference))


def test_grey_to_colour_repeats() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 4, 4), dtype=np.uint8)
    colour = ArrayImages(images, 3)[1]
    assert colour.is_contiguous()
    np.testing.assert_array_equal(colour.numpy(), np.repeat(images[1], 3, axis=0))


def test_writing_into_an_image_leaves_the_set_alone() -> None:
    images = ArrayImages(arrays().images, 3)
    images[0].zero_()
    assert images[0].any()


def test_read_only_and_strided_arrays_are_taken() -> None:
    strided = arrays().images.transpose(0, 1, 3, 2)
    strided.setflags(write=False)
    np.testing.assert_array_equal(ArrayImages(strided, 3).tensor.numpy(), strided)


def test_parts_and_fingerprint() -> None:
    whole = arrays()
    parts = {"train": whole.take(np.array([0, 1, 2, 5])), "val": whole.take(np.array([3, 4]))}
    data = array_set(parts, ["even", "odd"], 3)
    assert (len(data.train), len(data.val), data.test, data.native_size) == (4, 2, None, 5)
    assert list(data.train.ids) == ["a/0", "a/1", "a/2", "a/5"]
    assert torch.equal(data.train.images[3], torch.from_numpy(whole.images[5]))
    assert data.fingerprint == array_set(parts, ["even", "odd"], 3).fingerprint


@pytest.mark.parametrize("change", ["pixel", "label", "classes", "split", "channels"])
def test_any_change_changes_the_fingerprint(change: str) -> None:
    def fingerprint(changed: str) -> str:
        whole = arrays()
        if changed == "pixel":
            whole.images[0, 0, 0, 0] ^= 1
        if changed == "label":
            whole.labels[0] = 1
        cut = 4 if changed == "split" else 3
        parts = {"train": whole.take(np.arange(cut)), "val": whole.take(np.arange(cut, 6))}
        names = ["x", "y"] if changed == "classes" else ["even", "odd"]
        return array_set(parts, names, 1 if changed == "channels" else 3).fingerprint

    assert fingerprint(change) != fingerprint("nothing")

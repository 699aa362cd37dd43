"""Which images have the same pixels, where a digest is taken of those alone whose small pictures are alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnntrain.data.base import Reading
from cnntrain.data.batches.readable import AT_ONCE
from cnntrain.data.sets.dataset import Part
from cnntrain.data.sets.files import FileImages
from cnntrain.study.checking import looks
from cnntrain.study.checking.looks import BLOCK, SIDE, in_blocks, look


class Kept(list[torch.Tensor]):
    """Images in memory."""


def part(images: list[torch.Tensor]) -> Part:
    return Part(Kept(images), np.zeros(len(images), np.int64), [f"{row}.png" for row in range(len(images))])


@pytest.mark.parametrize(("count", "workers"), [(6, 0), (AT_ONCE + 6, 2)])
def test_same_are_equal_pixels_of_equal_size_in_any_part(count: int, workers: int) -> None:
    draws = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (3, 32, 32), generator=draws, dtype=torch.uint8) for _ in range(count)]
    turned = images[0].clone()
    turned[:, 0, :2] = turned[:, 0, :2].flip(1)  # the same small picture, other pixels
    assert not torch.equal(turned, images[0])
    wide = images[1].repeat_interleave(2, dim=2)  # the same small picture, another size
    found = look({"train": part([*images, turned, wide]), "test": part(list(images))}, ["one"], workers)
    assert np.array_equal(found.small[count], found.small[0]) and np.array_equal(found.small[count + 1], found.small[1])
    same = found.same.tolist()
    assert same[count + 2 :] == same[:count] and len(set(same)) == count + 2


def test_digests_are_taken_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    digest = looks._digest
    monkeypatch.setattr(looks, "_digest", lambda images, row: taken.append(row) or digest(images, row))
    draws = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (3, 32, 32), generator=draws, dtype=torch.uint8) for _ in range(8)]
    blank = torch.zeros(3, 32, 32, dtype=torch.uint8)
    found = look({"all": part([*images, images[3], blank, blank])}, ["one"], 0)
    assert len(taken) == 2 and found.same[3] == found.same[8]
    assert found.is_blank.tolist() == [False] * 9 + [True] * 2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_file_looks_as_its_pixels_in_memory_do(channels: int, depth: int, tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, 256, (40, 30, 4), dtype=np.uint8)
    for mode in ("L", "LA", "P", "RGB", "RGBA", "CMYK"):
        Image.fromarray(values, "RGBA").convert(mode).save(tmp_path / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}")
    Image.new("RGB", (30, 40), (9, 8, 7)).save(tmp_path / "blank.jpg")
    names = sorted(each.name for each in tmp_path.iterdir())
    files = FileImages(tmp_path, names, Reading(channels, "white", depth))
    ours, theirs = (
        look({"all": Part(images, np.zeros(len(names), np.int64), names)}, ["one"], 0)
        for images in (files, Kept(files[row] for row in range(len(names))))
    )
    for name in ("is_sound", "same", "small", "sizes", "is_blank"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
    assert ours.is_sound.all() and ours.is_blank.sum() == 1


@pytest.mark.parametrize("count", [0, BLOCK, BLOCK + 1])
def test_blocks_make_up_the_whole(count: int) -> None:
    small = np.random.default_rng(3).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    found = in_blocks(lambda some: some.mean(axis=(1, 2)), small)
    assert np.array_equal(found, small.mean(axis=(1, 2)))

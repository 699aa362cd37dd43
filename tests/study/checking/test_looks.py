"""Which images have the same pixels, where a digest is taken of those alone whose small pictures are alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cnntrain.data.batches.readable import AT_ONCE
from cnntrain.data.sets.dataset import Part
from cnntrain.study.checking import looks
from cnntrain.study.checking.looks import look


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

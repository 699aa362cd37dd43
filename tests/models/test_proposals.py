"""Selective search: objects are among its boxes, it always gives the same, and small or empty images have some."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.datasets import load_digits
from torchvision.ops import box_iou

from cnntrain.data.sets.scenes import Canvas, scene
from cnntrain.models import proposals
from cnntrain.models.proposals import Proposals, listed, selective_search
from cnntrain.models.segments import segment


def squares() -> np.ndarray:
    """Two on black, that do not touch."""
    image = np.zeros((32, 32, 1), np.uint8)
    image[4:14, 3:11], image[18:30, 16:31] = 255, 130
    return image


def test_digits_are_among_the_boxes() -> None:
    digits, canvas = load_digits(), Canvas(64, 1, 4, 16, 28)
    images = (digits.images * (255 / 16)).astype(np.uint8)
    made = [scene(images, digits.target, canvas, 5, 0, number) for number in range(12)]
    batch = torch.from_numpy(np.stack([each.image for each in made]))[:, None] / 255.0
    found = listed(Proposals(100)(batch))
    best = [
        box_iou(torch.from_numpy(each.boxes).float(), boxes).amax(1) for each, boxes in zip(made, found, strict=True)
    ]
    assert (torch.cat(best) >= 0.5).float().mean() >= 0.9


def test_regions_are_the_connected_ones_where_colours_are_flat() -> None:
    (regions,) = segment(squares(), [50], 60)
    inner = ndimage.label(ndimage.binary_erosion(squares()[..., 0] > 0, iterations=2))[0]
    for number in (1, 2):
        assert len(np.unique(regions[inner == number])) == 1
    assert len({*regions[0], *regions[:, 0]}) == 1
    assert len(np.unique(regions)) == 3


def test_a_box_is_there_once_and_the_whole_first() -> None:
    found = selective_search(squares(), 50)
    assert len(np.unique(found, axis=0)) == len(found) and found[0].tolist() == [0, 0, 32, 32]
    there = torch.tensor([[3.0, 4, 11, 14], [16, 18, 31, 30]])
    assert box_iou(there, torch.from_numpy(found)).amax(1).min() > 0.7
    assert np.array_equal(selective_search(squares(), 2), found[:2])


def test_light_does_not_matter_and_what_was_searched_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.from_numpy(squares().transpose(2, 0, 1).copy())[None].float()
    module, searches = Proposals(20), []
    found = module(torch.cat([image, 0.01 * image - 3]))
    assert torch.equal(found[0], found[1])
    monkeypatch.setattr(proposals, "selective_search", lambda *_: searches.append(1) or np.zeros((1, 4), np.float32))
    assert torch.equal(module.train()(image), found[:1]) and not module.training and not searches
    assert not torch.equal(copy.deepcopy(module)(image), found[:1]) and searches == [1]


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 3), (1, 16, 5)])
def test_an_image_without_anything_is_one_box(shape: tuple[int, int, int]) -> None:
    (found,) = listed(Proposals(7)(torch.full((1, *shape), 0.3)))
    assert found.tolist() == [[0, 0, shape[2], shape[1]]]


def test_colours_tell_regions_apart() -> None:
    image = np.full((24, 24, 3), 100, np.uint8)
    image[6:18, 6:18] = [220, 40, 40]
    there = torch.tensor([[6.0, 6, 18, 18]])
    assert box_iou(there, torch.from_numpy(selective_search(image, 30))).max() > 0.7


def test_few_are_refused() -> None:
    with pytest.raises(ValueError, match="proposals must be 1 or more, not 0"):
        Proposals(0)

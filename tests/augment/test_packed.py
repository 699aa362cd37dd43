"""Crops of packed images, against torchvision's and against those of the images themselves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from cnntrain.augment.batched.crops import ResizedCrop, boxes
from cnntrain.augment.batched.packed import FILTERS, PackedCrop, filters
from cnntrain.core.draws import Draws

SIDE, SIZE, COUNT = 40, 24, 30
POSITIONS = torch.arange(COUNT)


def images(channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (COUNT, channels, SIDE, SIDE), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("how", "levels"), [("bilinear", 1), ("bicubic", 2)])  # between its passes torchvision rounds
@pytest.mark.parametrize("size", [SIZE, 7, 56])
def test_of_images_of_the_packed_size_they_are_torchvisions(channels: int, how: str, levels: int, size: int) -> None:
    sizes, draws = torch.full((COUNT, 2), SIDE, dtype=torch.int32), Draws(0, 0, POSITIONS)
    found = PackedCrop(size, 0.08, how)(images(channels), sizes, draws)
    alone = ResizedCrop(size, 0.08, how)
    for number, box in enumerate(boxes(sizes.T.long(), 0.08, draws).T.tolist()):
        expected = functional.resized_crop(
            images(channels)[number], *box, [size, size], InterpolationMode(how), antialias=True
        )
        assert (found[number].int() - expected.int()).abs().max() <= levels
        workers, _ = alone(images(channels)[number], 0, Draws(0, 0, POSITIONS[number : number + 1]))
        assert torch.equal(workers, expected), "the box is that of the images themselves"


def test_of_other_images_they_show_what_the_images_themselves_would() -> None:
    high, wide = 64, 100
    ramp = torch.linspace(0, 150, high)[:, None] + torch.linspace(0, 100, wide)
    whole = ramp.round().to(torch.uint8).expand(3, -1, -1)
    packed = functional.resize(whole, [SIDE, SIDE], antialias=True)
    sizes, draws = torch.tensor([[high, wide]]).expand(COUNT, 2), Draws(0, 0, POSITIONS)
    found = PackedCrop(SIZE, 0.08, "bilinear")(packed.expand(COUNT, -1, -1, -1), sizes, draws)
    for number in range(COUNT):
        expected, _ = ResizedCrop(SIZE, 0.08, "bilinear")(whole, 0, Draws(0, 0, POSITIONS[number : number + 1]))
        assert (found[number].int() - expected.int()).abs().max() <= 5


@pytest.mark.parametrize("how", FILTERS)
def test_weights_sum_to_one_within_the_stretch_alone(how: str) -> None:
    start, length = torch.tensor([0.0, 3.3, 9.2]).double(), torch.tensor([10.0, 4.4, 0.3]).double()
    weights = filters(start, length, 6, 10, FILTERS[how])
    torch.testing.assert_close(weights.sum(2), torch.ones(3, 6))
    assert (weights[1, :, :3] == 0).all() and (weights[1, :, 8:] == 0).all()
    assert (weights[2, :, 9] == 1).all()

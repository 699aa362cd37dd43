from __future__ import annotations

import pickle
from dataclasses import asdict
from typing import Any, get_args

import pytest
import torch
from torch.nn.functional import max_pool2d
from torchvision import tv_tensors

from cnntrain.augment.affine import Affine
from cnntrain.augment.base import Augment
from cnntrain.augment.flip_crop import FlipCrop
from cnntrain.augment.imagenet import ImageNet
from cnntrain.augment.none import NoAugment
from cnntrain.config.check import section
from cnntrain.core import seeds
from cnntrain.core.errors import ConfigError
from cnntrain.data.base import Interpolation
from cnntrain.data.batches.preprocess import Preprocess

ALL: list[Augment] = [
    NoAugment("none", "auto"),
    FlipCrop("flip_crop", "auto", 4, 0.5),
    ImageNet("imagenet", "auto", 0.08, 0.5),
    Affine("affine", "auto", 10.0, 0.1, 0.1),
]
names = pytest.mark.parametrize("augment", ALL, ids=lambda each: each.name)


def preprocess(size: int, how: str = "bilinear") -> Preprocess:
    return Preprocess(3, size, "center", 1.0, how, [0.5] * 3, [0.25] * 3, "white")


def image(height: int, width: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height)
    return torch.randint(0, 256, (channels, height, width), dtype=torch.uint8, generator=generator)


@names
def test_transforms_go_to_the_worker_processes(augment: Augment) -> None:
    transform = augment.train_transform(preprocess(8))
    torch.manual_seed(0)
    expected = transform(image(9, 9, 3), 4)
    torch.manual_seed(0)
    found = pickle.loads(pickle.dumps(transform))(image(9, 9, 3), 4)
    assert torch.equal(found[0], expected[0])
    assert found[1] == expected[1] == 4


@names
@pytest.mark.parametrize("shape", [(40, 60, 3), (100, 30, 1), (32, 32, 3), (5, 7, 1)])
def test_images_of_any_size_become_uint8_of_the_size(augment: Augment, shape: tuple[int, int, int]) -> None:
    original = image(*shape)
    kept = original.clone()
    seen, label = augment.train_transform(preprocess(32))(original, 4)
    assert (seen.dtype, seen.shape, label) == (torch.uint8, (shape[2], 32, 32), 4)
    assert torch.equal(original, kept)


@names
def test_a_mask_goes_along(augment: Augment) -> None:
    """A black and white image is its own mask: away from edges, where pixels are mixed, both are the same."""
    marked = torch.zeros(40, 60, dtype=torch.uint8)
    marked[13:, :25] = 1
    transform = augment.train_transform(preprocess(32))
    for seed in range(8):
        with seeds.cpu_seed(seed):
            found, mask = transform((255 * marked).expand(3, -1, -1).contiguous(), tv_tensors.Mask(marked))
        assert isinstance(mask, tv_tensors.Mask) and (mask.dtype, mask.shape) == (torch.uint8, (32, 32))
        white = (found[:1] / 255).double()
        most, least = max_pool2d(white, 3, 1, 1)[0], -max_pool2d(-white, 3, 1, 1)[0]
        inside = most - least < 1e-6
        assert torch.equal(mask.as_subclass(torch.Tensor)[inside].double(), most[inside].round())
        assert inside.double().mean() > 0.7


@names
@pytest.mark.parametrize("how", get_args(Interpolation))
def test_every_interpolation_can_be_trained_with(augment: Augment, how: str) -> None:
    seen, _ = augment.train_transform(preprocess(16, how))(image(40, 50), 0)
    assert (seen.dtype, seen.shape) == (torch.uint8, (3, 16, 16))


@names
def test_training_is_random_where_it_says_so_and_only_from_torchs_generator(augment: Augment) -> None:
    transform = augment.train_transform(preprocess(24))
    seen = []
    for seed in (*range(8), 0):
        with seeds.cpu_seed(seed):
            seen.append(transform(image(40, 50), 0)[0])
    assert torch.equal(seen[0], seen[-1])
    assert augment.is_random == any(not torch.equal(seen[0], each) for each in seen)


def test_flip_crop_gives_every_shift_and_mirror_of_the_padded_image() -> None:
    original = image(6, 6)
    padded = torch.nn.functional.pad(original, (1, 1, 1, 1))
    possible = {}
    for top in range(3):
        for left in range(3):
            crop = padded[:, top : top + 6, left : left + 6]
            possible[crop.contiguous().numpy().tobytes()] = 0
            possible[crop.flip(2).contiguous().numpy().tobytes()] = 0
    transform = FlipCrop("flip_crop", "auto", 1, 0.5).train_transform(preprocess(6))
    torch.manual_seed(0)
    for _ in range(300):
        possible[transform(original, 0)[0].contiguous().numpy().tobytes()] += 1
    assert len(possible) == 18
    assert all(count > 0 for count in possible.values())


@pytest.mark.parametrize("make", [lambda p: FlipCrop("", "auto", 0, p), lambda p: ImageNet("", "auto", 1.0, p)])
def test_a_flip_of_probability_0_never_mirrors(make: Any) -> None:
    row = torch.arange(8, dtype=torch.uint8).expand(1, 8, 8).contiguous()
    torch.manual_seed(0)
    never, always = (make(p).train_transform(preprocess(8)) for p in (0.0, 1.0))
    for _ in range(10):
        assert never(row, 0)[0][0, 0].float().diff().mean() > 0
        assert always(row, 0)[0][0, 0].float().diff().mean() < 0


def test_an_affine_change_of_nothing_is_nothing() -> None:
    transform = Affine("affine", "auto", 0.0, 0.0, 0.0).train_transform(preprocess(16))
    assert torch.equal(transform(image(16, 16), 0)[0], image(16, 16))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("flip_crop", {"padding": -1}, "augment.padding=-1 must be an integer at least 0"),
        ("flip_crop", {"flip": 1.5}, "augment.flip=1.5 must be a number at least 0 and at most 1"),
        ("imagenet", {"min_area": 0.0}, "augment.min_area=0.0 must be a number above 0 and at most 1"),
        ("imagenet", {"flip": -0.5}, "augment.flip=-0.5 must be a number at least 0 and at most 1"),
        ("affine", {"degrees": 200.0}, "augment.degrees=200.0 must be a number at least 0 and at most 180"),
        ("affine", {"shift": 1.0}, "augment.shift=1.0 must be a number at least 0 and below 1"),
    ],
)
def test_limits(name: str, change: dict[str, Any], message: str) -> None:
    (augment,) = (each for each in ALL if each.name == name)
    with pytest.raises(ConfigError) as caught:
        section({**asdict(augment), **change}, type(augment), "augment")
    assert str(caught.value) == message

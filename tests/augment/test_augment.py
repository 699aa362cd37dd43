from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as F

from cnntrain.augment.affine import Affine
from cnntrain.augment.base import Augment
from cnntrain.augment.flip_crop import FlipCrop
from cnntrain.augment.imagenet import ImageNet
from cnntrain.augment.none import NoAugment
from cnntrain.core import seeds

ALL: list[Augment] = [
    NoAugment("none", "auto"),
    FlipCrop("flip_crop", "auto", 4, 0.5),
    ImageNet("imagenet", "auto", 0.08, 0.5, 0.875),
    Affine("affine", "auto", 10.0, 0.1, 0.1),
]
names = pytest.mark.parametrize("augment", ALL, ids=lambda each: each.name)


def image(height: int, width: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height)
    return torch.randint(0, 256, (channels, height, width), dtype=torch.uint8, generator=generator)


@names
def test_transforms_go_to_the_worker_processes(augment: Augment) -> None:
    for transform in (augment.train_transform(8), augment.eval_transform(8)):
        torch.manual_seed(0)
        expected = transform(image(9, 9, 3))
        torch.manual_seed(0)
        assert torch.equal(pickle.loads(pickle.dumps(transform))(image(9, 9, 3)), expected)


@names
@pytest.mark.parametrize("shape", [(40, 60, 3), (100, 30, 1), (32, 32, 3), (5, 7, 1)])
def test_images_of_any_size_become_uint8_of_the_size(augment: Augment, shape: tuple[int, int, int]) -> None:
    original = image(*shape)
    kept = original.clone()
    for transform in (augment.train_transform(32), augment.eval_transform(32)):
        seen = transform(original)
        assert (seen.dtype, seen.shape) == (torch.uint8, (shape[2], 32, 32))
    assert torch.equal(original, kept)


@names
def test_evaluation_is_deterministic(augment: Augment) -> None:
    transform = augment.eval_transform(24)
    assert torch.equal(transform(image(40, 50)), transform(image(40, 50)))


@names
def test_training_is_random_where_it_says_so_and_only_from_torchs_generator(augment: Augment) -> None:
    transform = augment.train_transform(24)
    seen = []
    for seed in (*range(8), 0):
        with seeds.cpu_seed(seed):
            seen.append(transform(image(40, 50)))
    assert torch.equal(seen[0], seen[-1])
    assert augment.is_random == any(not torch.equal(seen[0], each) for each in seen)


def test_evaluation_resizes_the_shorter_side_and_takes_the_centre_as_pil_does() -> None:
    # torch's antialiased bilinear filter against PIL's, to within its rounding
    original = image(48, 80)
    small = Image.fromarray(original.permute(1, 2, 0).numpy()).resize((40, 24), Image.Resampling.BILINEAR)
    expected = F.pil_to_tensor(small.crop((8, 0, 32, 24)))
    found = NoAugment("none", "auto").eval_transform(24)(original)
    assert (found.int() - expected.int()).abs().max() <= 1


def test_an_image_of_the_size_is_seen_as_it_is() -> None:
    for augment in (ALL[0], ALL[1]):
        assert torch.equal(augment.eval_transform(32)(image(32, 32)), image(32, 32))


def test_imagenets_evaluation_leaves_an_eighth_out() -> None:
    original = image(256, 300)
    expected = original[:, 16:240, 38:262]
    assert torch.equal(ALL[2].eval_transform(224)(original), expected)


def test_flip_crop_gives_every_shift_and_mirror_of_the_padded_image() -> None:
    original = image(6, 6)
    padded = torch.nn.functional.pad(original, (1, 1, 1, 1))
    possible = {}
    for top in range(3):
        for left in range(3):
            crop = padded[:, top : top + 6, left : left + 6]
            possible[crop.contiguous().numpy().tobytes()] = 0
            possible[crop.flip(2).contiguous().numpy().tobytes()] = 0
    transform = FlipCrop("flip_crop", "auto", 1, 0.5).train_transform(6)
    torch.manual_seed(0)
    for _ in range(300):
        possible[transform(original).contiguous().numpy().tobytes()] += 1
    assert len(possible) == 18
    assert all(count > 0 for count in possible.values())


@pytest.mark.parametrize("make", [lambda p: FlipCrop("", "auto", 0, p), lambda p: ImageNet("", "auto", 1.0, p, 1.0)])
def test_a_flip_of_probability_0_never_mirrors(make: Any) -> None:
    row = torch.arange(8, dtype=torch.uint8).expand(1, 8, 8).contiguous()
    torch.manual_seed(0)
    never, always = make(0.0).train_transform(8), make(1.0).train_transform(8)
    for _ in range(10):
        assert never(row)[0, 0].float().diff().mean() > 0
        assert always(row)[0, 0].float().diff().mean() < 0


def test_an_affine_change_of_nothing_is_nothing() -> None:
    assert torch.equal(Affine("affine", "auto", 0.0, 0.0, 0.0).train_transform(16)(image(16, 16)), image(16, 16))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FlipCrop("", "auto", -1, 0.5), "padding must be at least 0, not -1"),
        (lambda: FlipCrop("", "auto", 4, 1.5), "flip is a probability, not 1.5"),
        (lambda: ImageNet("", "auto", 0.0, 0.5, 1.0), "min_area must be above 0 and at most 1, not 0.0"),
        (lambda: ImageNet("", "auto", 0.1, 0.5, 1.1), "crop_fraction must be above 0 and at most 1, not 1.1"),
        (lambda: ImageNet("", "auto", 0.1, -0.5, 1.0), "flip is a probability, not -0.5"),
        (lambda: Affine("", "auto", 200.0, 0.1, 0.1), "degrees must be between 0 and 180, not 200.0"),
        (lambda: Affine("", "auto", 20.0, 1.0, 0.1), r"shift must be in \[0, 1\), not 1.0"),
    ],
)
def test_limits(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()

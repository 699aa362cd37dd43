from __future__ import annotations

import pickle
from dataclasses import asdict, fields, replace
from math import radians
from typing import Any, get_args

import pytest
import torch
from augments import OFF
from scipy.stats import ks_2samp
from torch.nn.functional import max_pool2d
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from cnntrain.augment.affine import Affine
from cnntrain.augment.base import Augment
from cnntrain.augment.batched.affine import inverse, moved
from cnntrain.augment.batched.crops import boxes
from cnntrain.augment.batched.shifts import _pixels, cropped
from cnntrain.augment.flip_crop import FlipCrop
from cnntrain.augment.imagenet import ImageNet
from cnntrain.augment.none import NoAugment
from cnntrain.config.check import section
from cnntrain.core.draws import Draws
from cnntrain.core.errors import ConfigError
from cnntrain.core.targets import IGNORE
from cnntrain.data.base import Interpolation
from cnntrain.data.batches.preprocess import Preprocess

ALL: list[Augment] = [
    NoAugment("none", "auto", **OFF),
    FlipCrop("flip_crop", "auto", 4, 0.5, "constant", False, **OFF),
    FlipCrop("alternate", "auto", 4, 0.5, "reflect", True, **OFF),
    ImageNet("imagenet", "auto", 0.08, 0.5, **OFF),
    Affine("affine", "auto", 10.0, 0.1, 0.1, **OFF),
]
ADDED: dict[str, dict[str, Any]] = {
    "trivial": {"auto": "trivial"},
    "rand": {"auto": "rand", "rand_ops": 3, "rand_magnitude": 12},
    "autoaugment": {"auto": "autoaugment"},
    "cifar10": {"auto": "autoaugment", "auto_policy": "cifar10"},
    "svhn": {"auto": "autoaugment", "auto_policy": "svhn"},
    "colour_jitter": {"colour_jitter": [0.4, 0.4, 0.4, 0.1]},
    "greyscale": {"greyscale": 0.5},
    "erasing": {"erasing": 0.5},
    # what follows is done to pairs, later
    "mixup": {"mixup": 0.2},
    "cutmix": {"cutmix": 1.0},
}
WITH_MORE = [*ALL, *(replace(ALL[0], name=name, **keys) for name, keys in ADDED.items())]
WITH_MORE.append(
    FlipCrop(
        "all",
        "auto",
        2,
        0.5,
        "constant",
        False,
        **OFF | {key: each for keys in ADDED.values() for key, each in keys.items()},
    )
)


def seen_by(augment: Augment, size: int, original: torch.Tensor, target: Any, seed: int, how: str = "bilinear") -> Any:
    """A sample as the network sees it: read, then in a batch of one."""
    draws = Draws(seed, 0, torch.tensor([5]))
    found, target = augment.drawn_transform(preprocess(size, how))(original, target, draws)
    together = augment.whole_transform(preprocess(size, how))
    if together is None:
        return found, target
    many = tv_tensors.Mask(target[None]) if isinstance(target, tv_tensors.Mask) else torch.tensor([target])
    images, targets = together(found[None], many, draws)
    return images[0], tv_tensors.Mask(targets[0]) if isinstance(targets, tv_tensors.Mask) else int(targets[0])


names = pytest.mark.parametrize("augment", WITH_MORE, ids=lambda each: each.name)
own = pytest.mark.parametrize("augment", ALL, ids=lambda each: each.name)


def preprocess(size: int, how: str = "bilinear") -> Preprocess:
    return Preprocess(3, size, "center", 1.0, how, [0.5] * 3, [0.25] * 3, "white")


def image(height: int, width: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height)
    return torch.randint(0, 256, (channels, height, width), dtype=torch.uint8, generator=generator)


@names
def test_transforms_go_to_the_worker_processes(augment: Augment) -> None:
    transform = augment.drawn_transform(preprocess(8))
    draws = Draws(0, 0, torch.tensor([3]))
    expected = transform(image(9, 9, 3), 4, draws)
    found = pickle.loads(pickle.dumps(transform))(image(9, 9, 3), 4, draws)
    assert torch.equal(found[0], expected[0])
    assert found[1] == expected[1] == 4


@names
@pytest.mark.parametrize("shape", [(40, 60, 3), (100, 30, 1), (32, 32, 3), (5, 7, 1)])
def test_images_of_any_size_become_uint8_of_the_size(augment: Augment, shape: tuple[int, int, int]) -> None:
    original = image(*shape)
    kept = original.clone()
    seen, label = seen_by(augment, 32, original, 4, seed=0)
    assert (seen.dtype, seen.shape, label) == (torch.uint8, (shape[2], 32, 32), 4)
    assert torch.equal(original, kept)


@own
def test_a_mask_goes_along(augment: Augment) -> None:
    """A black and white image is its own mask: away from edges, where pixels are mixed, both are the same."""
    marked = torch.zeros(40, 60, dtype=torch.uint8)
    marked[13:, :25] = 1
    for seed in range(8):
        found, mask = seen_by(augment, 32, (255 * marked).expand(3, -1, -1).contiguous(), tv_tensors.Mask(marked), seed)
        assert isinstance(mask, tv_tensors.Mask) and (mask.dtype, mask.shape) == (torch.uint8, (32, 32))
        white = (found[:1] / 255).double()
        most, least = max_pool2d(white, 3, 1, 1)[0], -max_pool2d(-white, 3, 1, 1)[0]
        inside = most - least < 1e-6
        values = mask.as_subclass(torch.Tensor)
        assert not most[inside & (values == IGNORE)].any(), "outside of the image, which is black"
        assert torch.equal(values.where(values != IGNORE, 0)[inside].double(), most[inside].round())
        assert inside.double().mean() > 0.7


def test_what_a_shift_brings_in_is_ignored_and_stays_so() -> None:
    augment = next(each for each in ALL if each.name == "flip_crop")
    mask = torch.full((32, 32), 254, dtype=torch.uint8)
    mask[:2] = IGNORE
    for seed in range(4):
        _, found = seen_by(augment, 32, image(32, 32), tv_tensors.Mask(mask), seed)
        assert set(found.as_subclass(torch.Tensor).unique().tolist()) == {254, IGNORE}


@names
@pytest.mark.parametrize("how", get_args(Interpolation))
def test_every_interpolation_can_be_trained_with(augment: Augment, how: str) -> None:
    seen, _ = seen_by(augment, 16, image(40, 50), 0, 0, how)
    assert (seen.dtype, seen.shape) == (torch.uint8, (3, 16, 16))


@names
def test_training_is_random_where_it_says_so_and_only_by_its_seed(augment: Augment) -> None:
    before = torch.get_rng_state()
    seen = [seen_by(augment, 24, image(40, 50), 0, seed)[0] for seed in (*range(8), 0)]
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(seen[0], seen[-1])
    assert (augment.is_random and augment.name not in ("mixup", "cutmix")) == any(
        not torch.equal(seen[0], each) for each in seen
    )


@names
@pytest.mark.parametrize("channels", [1, 3])
def test_in_a_batch_each_image_is_seen_as_alone(augment: Augment, channels: int) -> None:
    together = augment.whole_transform(preprocess(24))
    if together is None or (channels == 1 and augment.name == "greyscale"):
        return
    images, positions = torch.stack([image(24, 24, channels) + k for k in range(9)]), torch.arange(9) * 7
    found, targets = together(images, torch.arange(9), Draws(2, 1, positions))
    assert found.dtype == torch.uint8 and targets.tolist() == [*range(9)]
    for number, position in enumerate(positions):
        (alone,), _ = together(images[number : number + 1], torch.arange(1), Draws(2, 1, position[None]))
        assert torch.equal(alone, found[number])
    assert not torch.equal(found, together(images, torch.arange(9), Draws(2, 2, positions))[0])


def test_flip_crop_gives_every_shift_and_mirror_of_the_padded_image_equally_often() -> None:
    original = image(6, 6)
    padded = torch.nn.functional.pad(original, (1, 1, 1, 1))
    possible = {}
    for top in range(3):
        for left in range(3):
            crop = padded[:, top : top + 6, left : left + 6]
            possible[crop.contiguous().numpy().tobytes()] = 0
            possible[crop.flip(2).contiguous().numpy().tobytes()] = 0
    transform = FlipCrop("flip_crop", "auto", 1, 0.5, "constant", False, **OFF).batch_transform(preprocess(6))
    count = 1800
    for each in transform(original.expand(count, -1, -1, -1), torch.zeros(count), Draws(0, 0, torch.arange(count)))[0]:
        possible[each.contiguous().numpy().tobytes()] += 1
    assert len(possible) == 18
    assert sum((found - count / 18) ** 2 / (count / 18) for found in possible.values()) < 40.8  # chi-squared, p 0.001


@pytest.mark.parametrize("mode", ["constant", "reflect"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_crops_are_torchvisions_by_rows_and_by_pixels(channels: int, mode: str) -> None:
    images = torch.stack([image(7, 7, channels) + k for k in range(12)])
    left, top, mirrored = torch.arange(12) % 5, torch.arange(12) // 3, torch.arange(12) % 2 == 0
    padded = functional.pad(images, [2, 2], padding_mode=mode)
    shown = [functional.crop(padded[k], int(top[k]), int(left[k]), 7, 7) for k in range(12)]
    turned = [functional.horizontal_flip(each) for each in shown]
    expected = torch.where(mirrored[:, None, None, None], torch.stack(turned), torch.stack(shown))
    assert torch.equal(cropped(images, left, top, mirrored, 2, mode == "reflect"), expected)
    rows = (torch.arange(0, 12 * 11, 11)[:, None] + top[:, None] + torch.arange(7)) * 11
    pixels = _pixels(padded.permute(0, 2, 3, 1).contiguous(), rows, left, mirrored, 7)
    assert torch.equal(pixels.permute(0, 3, 1, 2), expected)


def test_an_alternate_flip_turns_each_image_with_each_epoch() -> None:
    """Half of them begin either way, by the seed; where a crop is taken is drawn as ever."""
    rows, positions = torch.arange(8, dtype=torch.uint8).expand(64, 1, 8, 8).contiguous(), torch.arange(64)
    turns, shifts = (
        FlipCrop("", "auto", 0, 0.5, "constant", True, **OFF),
        FlipCrop("", "auto", 2, 0.5, "reflect", True, **OFF),
    )

    def mirrored(augment: FlipCrop, seed: int, epoch: int) -> torch.Tensor:
        whole = Draws(seed, epoch, torch.cat([positions, positions]))
        found, _ = augment.batch_transform(preprocess(8))(rows, positions, whole.stretch(64, 128))
        return found[:, 0, 0, 2:6].float().diff().sum(1) < 0

    first = mirrored(turns, 0, 0)
    assert 20 < first.sum() < 44 and not torch.equal(first, mirrored(turns, 1, 0))
    for epoch in range(4):
        expected = first if epoch % 2 == 0 else ~first
        assert torch.equal(mirrored(turns, 0, epoch), expected) and torch.equal(mirrored(shifts, 0, epoch), expected)


@pytest.mark.parametrize(
    "make",
    [lambda p: FlipCrop("", "auto", 0, p, "constant", False, **OFF), lambda p: ImageNet("", "auto", 1.0, p, **OFF)],
)
def test_a_flip_of_probability_0_never_mirrors(make: Any) -> None:
    row = torch.arange(8, dtype=torch.uint8).expand(1, 8, 8).contiguous()
    for seed in range(10):
        assert seen_by(make(0.0), 8, row, 0, seed)[0][0, 0].float().diff().mean() > 0
        assert seen_by(make(1.0), 8, row, 0, seed)[0][0, 0].float().diff().mean() < 0


def test_an_affine_change_of_nothing_is_nothing() -> None:
    assert torch.equal(
        seen_by(Affine("affine", "auto", 0.0, 0.0, 0.0, **OFF), 16, image(16, 16), 0, 0)[0], image(16, 16)
    )


@pytest.mark.parametrize(
    ("angle", "scale", "across", "down"),
    [(30, 1, 0, 0), (0, 1.2, 0, 0), (0, 1, 4, -3), (-20, 0.9, 2, 5), (90, 1, 0, 0)],
)
def test_affine_moves_are_those_of_torchvision(angle: float, scale: float, across: int, down: int) -> None:
    """Whose angle is clockwise."""
    side = 32
    turn, size, *shift = (torch.tensor([each], dtype=torch.float64) for each in (
        radians(angle), scale, 2 * across / side, 2 * down / side))  # fmt: skip
    found = moved(image(side, side)[None], inverse(turn, size, *shift), "bilinear")
    how = v2.InterpolationMode.BILINEAR
    expected = v2.functional.affine(image(side, side)[None], -angle, [across, down], scale, [0.0, 0.0], how)
    assert (found.int() - expected.int()).abs().float().mean() < 0.5


def test_resized_crops_are_drawn_as_torchvision_draws_them() -> None:
    """Areas and shapes of many crops, and a middle where none fits."""
    count, torchvisions = 3000, v2.RandomResizedCrop(8, (0.3, 1.0))
    sides = torch.tensor([[60], [100]]).expand(2, count)
    top, left, height, width = boxes(sides, 0.3, Draws(0, 0, torch.arange(count)))
    assert (top >= 0).all() and (left >= 0).all() and (top + height <= 60).all() and (left + width <= 100).all()
    torch.manual_seed(0)
    drawn = [torchvisions.make_params([image(60, 100)]) for _ in range(count)]
    for ours, name in ((top, "top"), (left, "left"), (height, "height"), (width, "width")):
        assert ks_2samp(ours.numpy(), [each[name] for each in drawn]).pvalue > 1e-3, name
    long = boxes(torch.tensor([[10], [1000]]), 0.9, Draws(0, 0, torch.tensor([0])))
    assert long[:, 0].tolist() == [0, 493, 10, 13]


@names
def test_what_is_added_makes_a_policy_random_and_changes_nothing_that_the_policy_draws(augment: Augment) -> None:
    assert augment.is_random == (augment.name != "none")
    images, draws = torch.stack([image(24, 24)] * 20), Draws(0, 0, torch.arange(20))
    for policy in ALL:
        more = {each.name: getattr(augment, each.name) for each in fields(Augment) if each.kw_only}
        steps = replace(policy, **more).whole_transform(preprocess(24))
        own = policy.batch_transform(preprocess(24))
        if steps is not None and own is not None:
            expected = own(images, torch.zeros(20), draws)[0]
            assert torch.equal(steps.steps[0](images, torch.zeros(20), draws)[0], expected)


def test_a_border_that_reflects_is_smaller_than_the_image() -> None:
    FlipCrop("", "auto", 7, 0.5, "reflect", False, **OFF).batch_transform(preprocess(8))
    with pytest.raises(ConfigError, match=r"augment\.padding=8 with padding_mode=reflect needs images of more pixels"):
        FlipCrop("", "auto", 8, 0.5, "reflect", False, **OFF).batch_transform(preprocess(8))


JITTER = "augment.colour_jitter must be [brightness, contrast, saturation, hue], hue at most 0.5, not "


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("flip_crop", {"padding": -1}, "augment.padding=-1 must be an integer at least 0"),
        (
            "flip_crop",
            {"alternate_flip": True, "flip": 0.4},
            "augment.alternate_flip=true mirrors each image in every second epoch: it goes with flip=0.5, not 0.4",
        ),
        ("flip_crop", {"flip": 1.5}, "augment.flip=1.5 must be a number at least 0 and at most 1"),
        ("imagenet", {"min_area": 0.0}, "augment.min_area=0.0 must be a number above 0 and at most 1"),
        ("imagenet", {"flip": -0.5}, "augment.flip=-0.5 must be a number at least 0 and at most 1"),
        ("affine", {"degrees": 200.0}, "augment.degrees=200.0 must be a number at least 0 and at most 180"),
        ("affine", {"shift": 1.0}, "augment.shift=1.0 must be a number at least 0 and below 1"),
        ("none", {"erasing": 1.5}, "augment.erasing=1.5 must be a number at least 0 and at most 1"),
        ("none", {"rand_magnitude": 31}, "augment.rand_magnitude=31 must be an integer at least 0 and at most 30"),
        ("none", {"colour_jitter": [0.4]}, f"{JITTER}[0.4]"),
        ("none", {"colour_jitter": [0.4, 0.4, 0.4, 0.7]}, f"{JITTER}[0.4, 0.4, 0.4, 0.7]"),
    ],
)
def test_limits(name: str, change: dict[str, Any], message: str) -> None:
    (augment,) = (each for each in ALL if each.name == name)
    with pytest.raises(ConfigError) as caught:
        section({**asdict(augment), **change}, type(augment), "augment")
    assert str(caught.value) == message


def test_what_is_added_is_said() -> None:
    assert FlipCrop("flip_crop", "auto", 4, 0.5, "constant", False, **OFF).in_words == "flip_crop"
    added = {**OFF, "auto": "trivial", "erasing": 0.1, "mixup": 0.2}
    assert (
        FlipCrop("flip_crop", "auto", 4, 0.5, "constant", False, **added).in_words
        == "flip_crop + trivial + erasing + mixup"
    )

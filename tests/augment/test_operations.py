"""Operations on many images at once, against torchvision's on each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import atan, degrees
from typing import Any

import pytest
import torch
from scipy.stats import chisquare, ks_2samp, kstest
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import AutoAugment as TheirAuto
from torchvision.transforms import AutoAugmentPolicy, InterpolationMode, v2
from torchvision.transforms import RandAugment as TheirRand
from torchvision.transforms import TrivialAugmentWide as TheirTrivial
from torchvision.transforms.v2 import functional

from cnntrain.augment.batched import auto, colour
from cnntrain.augment.batched.auto import COLOURS, DRAWN, MOVES, NAMES, AutoAugment, applied, moving, narrow, wide
from cnntrain.augment.batched.erasing import AREA, RATIO, RandomErasing, rectangles
from cnntrain.augment.batched.jitter import ColourJitter, Greyscale, jittered
from cnntrain.augment.batched.policies import POLICIES
from cnntrain.core.draws import Draws

SIDE = 32
FACTORS = torch.linspace(0, 2, 9, dtype=torch.float64)


def images(channels: int = 3, count: int = 9) -> Tensor:
    """Some noise, some smooth, one of one colour."""
    generator = torch.Generator().manual_seed(channels)
    noise = torch.randint(0, 256, (count, channels, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    ramp = torch.linspace(20, 180, SIDE)[:, None] + torch.linspace(0, 60, SIDE)
    noise[1::2] = (ramp * torch.rand(1, channels, 1, 1, generator=generator)).to(torch.uint8)
    noise[2] = torch.randint(0, 256, (channels, 1, 1), dtype=torch.uint8, generator=generator)
    return noise


def draws(count: int) -> Draws:
    return Draws(0, 0, torch.arange(count))


Pairs = list[tuple[str, Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, float], Tensor], Tensor, int]]
PAIRS: Pairs = [
    ("brightness", colour.brightness, functional.adjust_brightness, FACTORS, 1),
    ("contrast", colour.contrast, functional.adjust_contrast, FACTORS, 1),
    ("saturation", colour.saturation, functional.adjust_saturation, FACTORS, 2),  # theirs rounds the greys down, too
    ("hue", colour.hue, functional.adjust_hue, torch.linspace(-0.5, 0.5, 9), 1),
    ("sharpness", colour.sharpness, functional.adjust_sharpness, FACTORS, 1),
    ("posterize", colour.posterize, lambda x, bits: functional.posterize(x, int(bits)), torch.arange(9), 0),
    ("solarize", colour.solarize, functional.solarize, torch.linspace(0, 255, 9), 0),
    ("autocontrast", lambda x, _: colour.autocontrast(x), lambda x, _: functional.autocontrast(x), FACTORS, 1),
    ("equalize", lambda x, _: colour.equalize(x), lambda x, _: functional.equalize(x), FACTORS, 0),
    ("invert", lambda x, _: colour.invert(x), lambda x, _: functional.invert(x), FACTORS, 0),
    ("grey", lambda x, _: colour.luma(x), lambda x, _: functional.rgb_to_grayscale(x), FACTORS, 1),
]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("name", "ours", "theirs", "values", "levels"), PAIRS, ids=[each[0] for each in PAIRS])
def test_colours_are_those_of_torchvision(
    name: str, ours: Any, theirs: Any, values: Tensor, levels: int, channels: int
) -> None:
    if channels == 1 and name == "grey":
        return
    found = ours(images(channels), values)
    expected = torch.stack([theirs(one, value.item()) for one, value in zip(images(channels), values, strict=True)])
    assert found.dtype == torch.uint8 and found.shape == expected.shape
    assert (found.int() - expected.int()).abs().max() <= levels


@pytest.mark.parametrize("name", MOVES)
def test_moves_are_those_of_torchvision(name: str) -> None:
    values = torch.linspace(-0.4, 0.5, 9, dtype=torch.float64) * (1 if name.startswith("Shear") else 20)
    found = auto.moved(images(), moving(name, values, SIDE), "bilinear")
    for number, value in enumerate(values.tolist()):
        how: dict[str, Any] = {"interpolation": InterpolationMode.BILINEAR}
        if name == "Rotate":
            expected = functional.rotate(images()[number], value, **how)
        else:
            shear, shift = [0.0, 0.0], [0, 0]
            if name.startswith("Shear"):
                shear["XY".index(name[-1])] = degrees(atan(value))
            else:
                shift["XY".index(name[-1])] = int(value)
            expected = functional.affine(images()[number], 0.0, shift, 1.0, shear, center=[0, 0], **how)
        assert (found[number].int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("family", ["auto", "rand", "trivial"])
def test_strengths_are_those_of_torchvision(family: str) -> None:
    bins = 10 if family == "auto" else 31
    theirs: Any
    if family == "auto":
        theirs = TheirAuto()._augmentation_space(bins, (SIDE, SIDE))
    elif family == "rand":
        theirs = TheirRand()._augmentation_space(bins, (SIDE, SIDE))
    else:
        theirs = TheirTrivial()._augmentation_space(bins)
    names = [name for name in NAMES if name != "Identity"] if family == "auto" else DRAWN
    assert set(names) == set(theirs)
    limits = wide(SIDE) if family == "trivial" else narrow(SIDE)
    for name in names:
        strengths, signed = theirs[name]
        assert signed == (name in auto.SIGNED)
        share = torch.arange(bins, dtype=torch.float64) / (bins - 1)
        numbers = torch.full((bins,), NAMES.index(name))
        found = auto._values(limits, numbers, share, torch.zeros(bins, dtype=torch.bool))
        if strengths.ndim == 0:
            assert (found == 0).all()
        elif name == "Posterize":
            assert (8 - found.round()).tolist() == strengths.tolist()
        else:
            found = 255 - found if name == "Solarize" else found
            torch.testing.assert_close(found.float(), strengths.float() * (255 if strengths[0] == 1 else 1))


@pytest.mark.parametrize("name", POLICIES)
def test_policies_are_those_of_torchvision(name: str) -> None:
    theirs = TheirAuto()._get_policies(AutoAugmentPolicy(name))
    assert POLICIES[name] == [
        tuple((step, chance, strength or 0) for step, chance, strength in pair) for pair in theirs
    ]


def test_each_image_goes_its_own_way_and_its_mask_along() -> None:
    numbers = torch.arange(len(NAMES))
    batch, masks = images(3, len(NAMES)), tv_tensors.Mask(images(1, len(NAMES))[:, 0])
    values = torch.full((len(NAMES),), 3.0, dtype=torch.float64)
    found, moved = applied(batch, masks, numbers, values)
    assert isinstance(moved, tv_tensors.Mask)
    for number, name in enumerate(NAMES):
        one = slice(number, number + 1)
        if name in COLOURS:
            assert torch.equal(found[one], COLOURS[name](batch[one], values[one]))
        assert torch.equal(moved[number], masks[number]) == (name not in MOVES)
    assert torch.equal(found[0], batch[0])


@pytest.mark.parametrize("family", [auto.TrivialAugment(), auto.RandAugment(1, 9), AutoAugment("imagenet")])
def test_operations_are_drawn_evenly_with_their_probabilities(family: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    def kept(images: Tensor, targets: Any, numbers: Tensor, values: Tensor) -> tuple[Tensor, Any]:
        seen.append(torch.stack([numbers.double(), values]))
        return images, targets

    monkeypatch.setattr(auto, "applied", kept)
    count = 6000
    family(images()[:1].expand(count, -1, -1, -1), None, draws(count))
    counts = torch.bincount(seen[0][0].long(), minlength=len(NAMES)).double()
    if isinstance(family, AutoAugment):
        expected = torch.zeros(len(NAMES), dtype=torch.float64)
        for (name, chance, _), _ in POLICIES["imagenet"]:
            expected[NAMES.index(name)] += chance / 25
            expected[0] += (1 - chance) / 25
    else:
        expected = torch.tensor([float(name in DRAWN) for name in NAMES], dtype=torch.float64) / len(DRAWN)
    some = expected > 0
    assert counts[~some].sum() == 0
    assert chisquare(counts[some], expected[some] * count).pvalue > 1e-3
    turned = seen[0][1][seen[0][0] == NAMES.index("Rotate")]
    assert 0.4 < (turned < 0).double().mean() < 0.6 or isinstance(family, auto.TrivialAugment)
    if isinstance(family, auto.TrivialAugment):
        assert len(turned.unique()) > 50 and turned.abs().max() == 135


def test_colour_jitter_draws_what_torchvision_draws() -> None:
    ranges = [0.4, 1.5, 0.3, 0.2]
    numbers = draws(3000).uniform("colour_jitter", 8)
    found = jittered(ranges, numbers[4:])
    for amounts, (low, high) in zip(found, [(0.6, 1.4), (0, 2.5), (0.7, 1.3), (-0.2, 0.2)], strict=True):
        assert kstest(amounts.numpy(), "uniform", (low, high - low)).pvalue > 1e-3
    orders = numbers[:4].argsort(0)
    often = Counter(tuple(each) for each in orders.T.tolist())
    assert len(often) == 24 and chisquare([*often.values()]).pvalue > 1e-3
    batch = images()
    seen, _ = ColourJitter(ranges)(batch, None, draws(9))
    theirs = [
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
        functional.adjust_hue,
    ]
    for number in range(9):
        expected = batch[number]
        for operation in orders[:, number].tolist():
            expected = theirs[operation](expected, found[operation, number].item())
        assert (seen[number].int() - expected.int()).abs().float().mean() < 3


def test_greys_come_with_their_probability() -> None:
    seen, _ = Greyscale(0.3)(images()[:1].expand(2000, -1, -1, -1), None, draws(2000))
    grey = (seen == seen[:, :1]).flatten(1).all(1)
    assert 0.26 < grey.double().mean() < 0.34
    assert torch.equal(seen[grey][0], colour.luma(images()[:1]).expand(1, 3, -1, -1)[0])


def test_rectangles_are_drawn_as_torchvision_draws_them() -> None:
    count, torchvisions = 3000, v2.RandomErasing(1.0, AREA, RATIO)
    found = rectangles(60, 100, 1.0, draws(count))
    torch.manual_seed(0)
    drawn = [torchvisions.make_params([torch.zeros(3, 60, 100)]) for _ in range(count)]
    for ours, name in zip(found, ("i", "j", "h", "w"), strict=True):
        assert ks_2samp(ours.numpy(), [each[name] for each in drawn]).pvalue > 1e-3, name
    assert (rectangles(1, 1, 1.0, draws(9))[2] == 0).all(), "none fits"
    assert 0.45 < (rectangles(60, 100, 0.5, draws(count))[2] > 0).double().mean() < 0.55


def test_a_rectangle_of_the_means_colour_hides_the_image() -> None:
    batch = images() | 1
    seen, _ = RandomErasing(1.0, [0.0, 0.5, 1.0])(batch, None, draws(9))
    for number, (top, left, high, across) in enumerate(rectangles(SIDE, SIDE, 1.0, draws(9)).T.tolist()):
        expected = batch[number].clone()
        expected[:, top : top + high, left : left + across] = torch.tensor([0, 128, 255], dtype=torch.uint8).view(
            3, 1, 1
        )
        assert torch.equal(seen[number], expected) and high > 0

"""AutoAugment, RandAugment and TrivialAugment: operations of many images at once, each image's drawn for it.

What is moved is moved bilinearly (masks: by the nearest pixel), and what comes from outside is black.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import pi
from typing import Any

import torch
from torch import Tensor

from cnntrain.augment.batched import colour
from cnntrain.augment.batched.affine import around, inverse, moved
from cnntrain.augment.batched.choice import groups
from cnntrain.augment.batched.masks import along
from cnntrain.augment.batched.policies import POLICIES
from cnntrain.core.boxes import within
from cnntrain.core.draws import Draws

STRENGTHS = 31  # of RandAugment and TrivialAugment; AutoAugment has ten
# of images and a number for each: 0 is weakest
COLOURS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Brightness": lambda images, value: colour.brightness(images, 1 + value),
    "Color": lambda images, value: colour.saturation(images, 1 + value),
    "Contrast": lambda images, value: colour.contrast(images, 1 + value),
    "Sharpness": lambda images, value: colour.sharpness(images, 1 + value),
    "Posterize": lambda images, value: colour.posterize(images, 8 - value.round()),
    "Solarize": lambda images, value: colour.solarize(images, 255 - value),
    "AutoContrast": lambda images, value: colour.autocontrast(images),
    "Equalize": lambda images, value: colour.equalize(images),
    "Invert": lambda images, value: colour.invert(images),
}
MOVES = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
NAMES = ("Identity", *MOVES, *COLOURS)
SIGNED = {*MOVES, "Brightness", "Color", "Contrast", "Sharpness"}
DRAWN = tuple(name for name in NAMES if name != "Invert")  # the fourteen of RandAugment and TrivialAugment


def narrow(side: int) -> dict[str, float]:
    """The strongest of each operation in AutoAugment and RandAugment; shifts in pixels, turns in degrees."""
    shift = 150 / 331 * side
    return {
        "ShearX": 0.3, "ShearY": 0.3, "TranslateX": shift, "TranslateY": shift, "Rotate": 30, "Brightness": 0.9,
        "Color": 0.9, "Contrast": 0.9, "Sharpness": 0.9, "Posterize": 4, "Solarize": 255,
    }  # fmt: skip


def wide(side: int) -> dict[str, float]:
    """Those of TrivialAugment."""
    return {
        "ShearX": 0.99, "ShearY": 0.99, "TranslateX": 32, "TranslateY": 32, "Rotate": 135, "Brightness": 0.99,
        "Color": 0.99, "Contrast": 0.99, "Sharpness": 0.99, "Posterize": 6, "Solarize": 255,
    }  # fmt: skip


class TrivialAugment:
    """One operation of any strength (Müller & Hutter 2021, arXiv:2103.10158; the wide ranges)."""

    def __call__(self, images: Tensor, targets: Any, draws: Draws) -> tuple[Tensor, Any]:
        which, strength, side = draws.here.uniform("trivial", 3)
        share = (strength * STRENGTHS).floor() / (STRENGTHS - 1)
        numbers = _numbers(DRAWN, which)
        return applied(images, targets, numbers, _values(wide(images.shape[-1]), numbers, share, side < 0.5))


@dataclass(frozen=True)
class RandAugment:
    """So many operations of one strength, from 0 to 30 (Cubuk et al. 2019, arXiv:1909.13719)."""

    operations: int
    magnitude: int

    def __call__(self, images: Tensor, targets: Any, draws: Draws) -> tuple[Tensor, Any]:
        for turn in range(self.operations):
            which, side = draws.here.uniform(f"rand_{turn}", 2)
            share = torch.full_like(side, self.magnitude / (STRENGTHS - 1))
            numbers = _numbers(DRAWN, which)
            values = _values(narrow(images.shape[-1]), numbers, share, side < 0.5)
            images, targets = applied(images, targets, numbers, values)
        return images, targets


class AutoAugment:
    """One of the pairs of operations that a search has found, each done with its probability (Cubuk et al. 2018,
    arXiv:1805.09501).

    Args:
        policy: the set that was searched on: imagenet, cifar10 or svhn.
    """

    def __init__(self, policy: str):
        self.pairs = torch.tensor(
            [
                [[NAMES.index(name), chance, strength / 9] for name, chance, strength in pair]
                for pair in POLICIES[policy]
            ],
            dtype=torch.float64,
        )

    def __call__(self, images: Tensor, targets: Any, draws: Draws) -> tuple[Tensor, Any]:
        which, *numbers = draws.here.uniform("autoaugment", 5)
        chosen = self.pairs[(which * len(self.pairs)).long()]
        for turn in range(2):
            number, chance, share = chosen[:, turn].unbind(1)
            done = torch.where(numbers[2 * turn] < chance, number, 0).long()
            values = _values(narrow(images.shape[-1]), done, share, numbers[2 * turn + 1] < 0.5)
            images, targets = applied(images, targets, done, values)
        return images, targets


def applied(images: Tensor, targets: Any, numbers: Tensor, values: Tensor) -> tuple[Tensor, Any]:
    """Each image as the operation makes it whose number in `NAMES` is given, with its value.

    Args:
        images: uint8 [images, channels, side, side].
        targets: masks and boxes are moved with their images.
        numbers, values: [images], on the CPU.
    """
    images, values = images.clone(), values.to(images.device, non_blocking=True)
    count, side = len(images), images.shape[-1]
    every = torch.eye(2, 3, dtype=values.dtype, device=images.device).repeat(count, 1, 1)
    is_moved = torch.zeros(count, dtype=torch.bool, device=images.device)
    for number, rows in groups(numbers, len(NAMES), images.device):
        name = NAMES[number]
        if name in COLOURS:
            images[rows] = COLOURS[name](images[rows], values[rows])
        elif name in MOVES:
            every[rows], is_moved[rows] = moving(name, values[rows], side), True
            images[rows] = moved(images[rows], every[rows], "bilinear")

    def objects(found: dict[str, Any]) -> dict[str, Any]:
        boxes = torch.where(is_moved[:, None, None], around(found["boxes"], every, side, side), found["boxes"])
        return within({**found, "boxes": boxes}, side, side)

    return images, along(targets, lambda each: moved(each, every, "nearest"), objects)


def moving(name: str, value: Tensor, side: int) -> Tensor:
    """`inverse` of a move by so many degrees or whole pixels, or of a shear that leaves the corner at the top left."""
    zero = torch.zeros_like(value)
    if name == "Rotate":
        return inverse(value * (pi / 180), zero + 1, zero, zero)
    if name.startswith("Translate"):
        shift = 2 * value.trunc() / side
        return inverse(zero, zero + 1, *((shift, zero) if name == "TranslateX" else (zero, shift)))
    if name == "ShearX":
        return inverse(zero, zero + 1, -value, zero, torch.stack([-value, zero]))
    return inverse(zero, zero + 1, zero, -value, torch.stack([zero, -value]))


def _numbers(names: tuple[str, ...], which: Tensor) -> Tensor:
    """Places in `NAMES` of evenly drawn names."""
    places = torch.tensor([NAMES.index(each) for each in names])
    return places[(which * len(names)).long()]


def _values(most: Mapping[str, float], numbers: Tensor, share: Tensor, negative: Tensor) -> Tensor:
    """A share of each operation's strongest, to the other side where it has two and that is drawn."""
    limits = torch.tensor([most.get(name, 0.0) for name in NAMES], dtype=torch.float64)
    signed = torch.tensor([name in SIGNED for name in NAMES])
    return limits[numbers] * share * torch.where(signed[numbers] & negative, -1.0, 1.0)

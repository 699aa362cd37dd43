"""Gradient ascent from a blank image to one that a class or a unit likes best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from cnntrain.core.errors import ConfigError
from cnntrain.core.words import listed, suggest
from cnntrain.models.features import pooled
from cnntrain.study.explain import tiles
from cnntrain.study.explain.base import Picture
from cnntrain.study.explain.subject import Subject

MOST = 16  # classes or units, where none are named
NOISE = 0.01  # deviation of what the blank image begins with, so that filters of any direction have a gradient
COLUMNS = 4
Wanted = Callable[[Tensor], Tensor]  # of images [n, ...] how much each excites its own class or unit, [n]


@dataclass(frozen=True)
class Ascent:
    """Attributes:
    rate: of a step, in deviations of the network's input.
    jitter: pixels, at most, by which the image is shifted in each step.
    blur_every: steps; 0: never.
    blur: its deviation in pixels.
    variation: how much neighbouring pixels that differ count against the image.
    """

    steps: int
    rate: float
    jitter: int
    blur_every: int
    blur: float
    variation: float


def pictures(
    subject: Subject, classes: Sequence[str] | None, units: Sequence[int] | None, keys: Ascent
) -> Iterator[Picture]:
    """One of all images, and what each came to.

    Args:
        classes: names, without a layer; None: the first ones.
        units: of the layer; None: the first ones.

    Raises:
        ConfigError: a class or a unit is none of the network's, or keys are given that do not go together.
    """
    layer = subject.layer
    names, chosen = _classes(subject, classes, units) if layer is None else _units(subject, classes, units)
    found, starts, ends = list[Tensor](), list[float](), list[float]()
    for first in range(0, len(chosen), MOST):
        some = torch.tensor(chosen[first : first + MOST], device=subject.device)
        wanted = _wanted(subject, some)
        begin = blank(subject, len(some))
        images = ascend(subject, wanted, begin, keys)
        with torch.no_grad():
            starts += wanted(begin).tolist()
            ends += wanted(images).tolist()
        found.append(images)
    images = torch.cat(found)
    with torch.no_grad():
        probabilities = subject.probabilities(images)
    seen = subject.seen.undo(images).cpu().numpy()
    what = "logit" if layer is None else f"mean of {layer}"
    whose = "a class likes" if layer is None else f"units of {layer} like"
    title = f"what {whose} best, {keys.steps} steps; each from its darkest to its brightest"
    labels = [f"{name}\n{what.split()[0]} {end:.3g}" for name, end in zip(names, ends, strict=True)]
    shown = [tiles.of_image(each) for each in tiles.spread(seen)]  # a soft image of the mean colour is hardly seen
    figure = tiles.figure(shown, labels, min(COLUMNS, len(shown)), title, 2.2)
    rows = [
        {"of": name, "value": what, "at_start": start, "at_end": end}
        | ({} if layer is not None else {"probability": float(row[position])})
        for name, position, start, end, row in zip(names, chosen, starts, ends, probabilities, strict=True)
    ]
    yield Picture("maximise", figure, {"images": seen}, {"images": rows})


def _classes(subject: Subject, asked: Sequence[str] | None, units: Sequence[int] | None) -> tuple[list[str], list[int]]:
    if units is not None:
        raise ConfigError(f"method.units={units} are of a layer: give layer=<name>, or method.classes=[<name>]")
    places = {name: position for position, name in enumerate(subject.classes)}
    names = list(places)[:MOST] if asked is None else list(asked)
    for each in names:
        if each not in places:
            near = suggest(each, places) or f"; its classes are {listed(list(places))}"
            raise ConfigError(f"method.classes: {each} is no class of this network{near}")
    return names, [places[each] for each in names]


def _units(subject: Subject, classes: Sequence[str] | None, asked: Sequence[int] | None) -> tuple[list[str], list[int]]:
    if classes is not None:
        raise ConfigError("method.classes is of the network's end: leave layer out, or give method.units=[<number>]")
    chosen = units_of(subject, str(subject.layer), asked)
    return [f"unit {each}" for each in chosen], chosen


def units_of(subject: Subject, layer: str, asked: Sequence[int] | None, most: int = MOST) -> list[int]:
    """The channels or features of a layer that are asked for; None: the first ones.

    Raises:
        ConfigError: it has fewer.
    """
    shape = subject.shapes([layer]).get(layer)
    if shape is None or len(shape) not in (2, 4):
        raise ConfigError(f"layer={layer} gives no maps and no features: choose another")
    chosen = list(range(min(most, shape[1]))) if asked is None else list(asked)
    beyond = [each for each in chosen if each >= shape[1]]
    if beyond:
        raise ConfigError(f"method.units: layer={layer} has units 0 to {shape[1] - 1}, not {beyond[0]}")
    return chosen


def _wanted(subject: Subject, chosen: Tensor) -> Wanted:
    """The logit of each image's class, or the mean over the map of its unit."""

    def of(images: Tensor) -> Tensor:
        found = subject.logits(images) if subject.layer is None else subject.activations(images)
        return pooled(found).gather(1, chosen[:, None])[:, 0]

    return of


def blank(subject: Subject, count: int) -> Tensor:
    """Images of the mean colour with a little noise, all alike: what they become differs by what they are for alone."""
    like = subject.blank()
    drawn = torch.Generator().manual_seed(subject.seed)
    return (NOISE * torch.randn(like.shape, generator=drawn)).to(like).repeat(count, 1, 1, 1)


def ascend(subject: Subject, wanted: Wanted, begin: Tensor, keys: Ascent) -> Tensor:
    """The images after all steps, each of which goes as far, whatever the gradient's size. They stay among what a file
    can hold.

    Args:
        begin: [n, channels, height, width], normalised.
    """
    low, high = _range(subject, begin)
    drawn = torch.Generator().manual_seed(subject.seed)
    images = begin.clone()
    for step in range(keys.steps):
        shift = torch.randint(-keys.jitter, keys.jitter + 1, (2,), generator=drawn).tolist()
        moved = images.roll(shift, (2, 3)).detach().requires_grad_()
        value = wanted(moved).sum() - keys.variation * variation(moved).sum()
        (gradient,) = torch.autograd.grad(value, moved)
        size = gradient.square().mean((1, 2, 3), keepdim=True).sqrt()
        moved = moved.detach() + keys.rate * gradient / size.clamp(min=torch.finfo(size.dtype).tiny)
        if keys.blur_every and step % keys.blur_every == keys.blur_every - 1:
            moved = functional.gaussian_blur(moved, _kernel(keys.blur, min(moved.shape[2:])), keys.blur)
        images = moved.roll([-each for each in shift], (2, 3)).clamp(low, high)
    return images.detach()


def _kernel(deviation: float, side: int) -> list[int]:
    """Pixels of the blur: three deviations to each side of the middle, as far as the image has so many."""
    return [2 * min(max(1, round(3 * deviation)), side - 1) + 1] * 2


def _range(subject: Subject, like: Tensor) -> tuple[Tensor, Tensor]:
    """What black and white are for the network, [channels, 1, 1] each."""
    mean, std = (torch.tensor(each).to(like).view(-1, 1, 1) for each in (subject.seen.mean, subject.seen.std))
    return -mean / std, (1 - mean) / std


def variation(images: Tensor) -> Tensor:
    """The sum of the differences between neighbours, over the sides: [n]. An image of twice the size that looks alike
    has the same."""
    rows, columns = (images.diff(dim=dim).abs().sum((1, 2, 3)) for dim in (2, 3))
    return (rows + columns) / (images.shape[2] + images.shape[3])

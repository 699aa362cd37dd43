"""Images beside what augmentation makes of them, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from matplotlib.figure import Figure
from torch import Tensor

from cnntrain.study.explain import tiles

SIDE = 1.15  # inches of a tile


@dataclass(frozen=True)
class View:
    """What the network sees of an image in an epoch.

    Attributes:
        epoch: from 0 on.
        pixels: [channels, size, size], from 0 to 1.
        target: what its label has become, in words; empty where it is as it was.
    """

    epoch: int
    pixels: Tensor
    target: str


@dataclass(frozen=True)
class Augmented:
    """An image, as it is and as it is seen.

    Attributes:
        original: uint8 [channels, height, width].
        judged: as an evaluation sees it, [channels, size, size], from 0 to 1.
    """

    name: str
    label: str
    original: Tensor
    judged: Tensor
    views: Sequence[View]


def figure(found: Sequence[Augmented], title: str) -> Figure:
    """A row an image: as it is, as an evaluation sees it, and as each epoch does."""
    pictures, names = [], []
    for each in found:
        pictures += [each.original.numpy(), each.judged.numpy(), *(view.pixels.numpy() for view in each.views)]
        names += [f"{PurePath(each.name).name}\n{each.label}", "as judged"]
        names += [f"epoch {view.epoch + 1}\n{view.target}" for view in each.views]
    columns = 2 + max((len(each.views) for each in found), default=0)
    return tiles.figure([tiles.of_image(each) for each in pictures], names, columns, title, SIDE)

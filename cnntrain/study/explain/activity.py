"""The channels of a network's stages, as grids of maps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cnntrain.core.errors import InputError
from cnntrain.models import layers
from cnntrain.study.explain import tiles
from cnntrain.study.explain.base import Picture
from cnntrain.study.explain.hooks import recorded
from cnntrain.study.explain.subject import Shown, Subject

COLUMNS = 8


def with_maps(subject: Subject) -> list[str]:
    """The layers to look at: the one that is asked for, else the stages that give maps of more than one position, and
    of a network without timm's stages the last layer that does.

    Raises:
        InputError: there is none, or it gives none.
    """
    if subject.layer is None:
        stages = layers.stages(subject.network)
        shapes = subject.shapes(stages)
        spatial = [name for name, shape in shapes.items() if subject.is_map(shape) and shape[2:].numel() > 1]
        return spatial or [subject.at]
    shape = subject.shapes([subject.layer]).get(subject.layer)
    if shape is None or not subject.is_map(shape):
        raise InputError(f"layer={subject.layer}: gives no maps {subject.map_in_words}: choose another")
    return [subject.layer]


@torch.no_grad()
def recorded_at(subject: Subject, names: list[str], inputs: Tensor) -> dict[str, Tensor]:
    """What layers give in one forward pass, [images, ...] each."""
    with ExitStack() as stack:
        kept = {n: stack.enter_context(recorded(layers.named(subject.network, n), n)) for n in names}
        subject.network(inputs)
    return {name: each.value for name, each in kept.items()}


def grids(subject: Subject, shown: Shown, most: int) -> Iterator[Picture]:
    """A picture an image and layer: the image, and the channels that vary most over it, in their order, each in its own
    range. Those that are the same everywhere, which say nothing of this image, are counted."""
    names = with_maps(subject)
    for positions, inputs in shown.batches():
        found = recorded_at(subject, names, inputs)
        seen = subject.seen.undo(inputs).cpu().numpy()
        for row, position in enumerate(positions):
            for name, maps in found.items():
                image = Path(shown.names[position]).stem
                yield _grid(f"{position + 1:04d}-{image}-{name}", image, name, seen[row], maps[row], most)


def _grid(file: str, image: str, layer: str, seen: np.ndarray, found: Tensor, most: int) -> Picture:
    maps = found.float().cpu().numpy()
    deviation = maps.std(tuple(range(1, maps.ndim)))
    chosen = np.sort(np.argsort(-deviation, kind="stable")[:most])
    drawn, times = _tiles(maps[chosen])
    size = "x".join(map(str, maps.shape))
    flat = int((deviation == 0).sum())
    title = f"{image}: {layer}, {size}" + (f", {flat} flat" if flat else "")
    pictures = [tiles.of_image(seen), *drawn]
    columns = min(COLUMNS // times, len(pictures))
    figure = tiles.figure(pictures, ["seen", *map(str, chosen)], columns, title, times * tiles.SIDE)
    facts = {"image": image, "layer": layer, "channels": len(maps), "flat_channels": flat}
    return Picture(file, figure, {"maps": maps[chosen], "channels": chosen}, facts)


def _tiles(maps: np.ndarray) -> tuple[list[np.ndarray], int]:
    """A tile a channel, a signal's a line, a volume's its frames, and how many times as wide as of an image."""
    if maps.ndim == 2:
        return [tiles.of_image(each[None]) for each in maps], 2
    drawn = tiles.coloured(tiles.spread(maps), "viridis")
    return ([*drawn], 1) if maps.ndim == 3 else ([tiles.side_by_side(each) for each in drawn], 4)

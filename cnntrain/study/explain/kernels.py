"""The filters of convolutions as grids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import nn

from cnntrain.core.errors import InputError
from cnntrain.models import layers
from cnntrain.study.explain import tiles
from cnntrain.study.explain.base import Picture
from cnntrain.study.explain.subject import Subject

COLUMNS = 16
SMALL = 0.55  # inches of a tile
KINDS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}  # along so many sides


def convolutions(subject: Subject) -> dict[str, Any]:
    """Those in the layer that is asked for, else all, whose kernel is larger than 1 along any side, by name.

    Raises:
        InputError: there is none.
    """
    whole, at = subject.network, subject.layer
    inside = whole if at is None else layers.named(whole, at)
    found = {
        ".".join(filter(None, (at, name))): each
        for name, each in inside.named_modules()
        if isinstance(each, KINDS[subject.seen.dimensions]) and each.weight.shape[2:].numel() > 1
    }
    if not found:
        where = type(whole).__name__ if at is None else f"layer={at}"
        ones = "x".join("1" * subject.seen.dimensions)
        raise InputError(f"{where} has no convolution whose kernel is larger than {ones}")
    return found


def grids(subject: Subject, filters: int, channels: int) -> Iterator[Picture]:
    """A picture a convolution. Each filter is drawn in its own range, 0 in the middle: grey where it is in colour, else
    white, blue below and red above. A row of the latter is a filter, a column a channel that it reads; of signals a
    tile is a filter, a row of it a channel. Of volumes the frames of a kernel stand side by side."""
    for number, (name, each) in enumerate(convolutions(subject).items(), 1):
        weights = each.weight.detach().float().cpu().numpy()
        few = weights[:filters]
        title = f"{name}: {len(weights)} filters {'x'.join(map(str, weights.shape[1:]))}"
        counted = f", the first {filters}" if len(weights) > filters else ""
        of_image = each.in_channels == subject.seen.channels == 3 and each.groups == 1 and few.ndim > 3
        if of_image:
            drawn = [tiles.of_image(filter) for filter in tiles.signed(few)]
            figure = tiles.figure(drawn, [""] * len(few), min(COLUMNS, len(few)), title + counted, SMALL)
        else:
            few = few[:, :channels]
            counted += f", {channels} channels" if weights.shape[1] > channels else ""
            pictures, columns = _by_channel(few)
            figure = tiles.figure(pictures, [""] * len(pictures), columns, title + counted, SMALL)
        facts = {"layer": name, "shape": list(weights.shape), "in_colour": of_image}
        yield Picture(f"{number:02d}-{name}", figure, {"filters": few}, facts)


def _by_channel(few: np.ndarray) -> tuple[list[np.ndarray], int]:
    """Tiles and how many a row: filters of one channel, those of depthwise convolutions, stand beside each other."""
    columns = few.shape[1] if few.shape[1] > 1 and few.ndim > 3 else min(COLUMNS, len(few))
    values = tiles.coloured(tiles.signed(few), "RdBu_r")
    if few.ndim == 3:
        return [*values], columns
    found = [*values.reshape(-1, *values.shape[2:])]
    return (found if few.ndim == 4 else [tiles.side_by_side(each) for each in found]), columns

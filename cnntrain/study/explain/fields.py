"""Where the positions of a layer's map lie in what the network sees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate

from cnntrain.core.errors import InputError
from cnntrain.models import layers
from cnntrain.study.anatomy.receptive_field import Axis, Field
from cnntrain.study.anatomy.recorder import Recorder
from cnntrain.study.explain.subject import Subject

MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}  # of interpolation along so many sides


def laid(subject: Subject, layer: str, small: Tensor, size: Sequence[int]) -> Tensor:
    """Maps [images, ...] of a layer resized to the sides of the inputs, [images, *size].

    Maps are of the whole input, but for networks that see a rim around it: there each position goes to the middle of
    its receptive field.

    Raises:
        InputError: of such a network the field is not known.
    """
    if not getattr(subject.network, "rim", 0):
        return interpolate(small[:, None], size, mode=MODES[len(size)], align_corners=False)[:, 0]
    field = field_of(subject, layer)
    if field is None or any(each.whole for each in field.axes):
        raise InputError(f"layer={layer}: where its maps lie in the image is not known: choose another")
    axes = zip(field.axes, size, small.shape[1:], strict=True)
    rows, columns = (_positions(*each).to(small) for each in axes)
    grid = torch.stack([columns[None].expand(len(rows), -1), rows[:, None].expand(-1, len(columns))], -1)
    return grid_sample(small[:, None], grid.expand(len(small), -1, -1, -1), padding_mode="border", align_corners=True)[
        :, 0
    ]


def _positions(axis: Axis, pixels: int, positions: int) -> Tensor:
    """Of each pixel the position whose field has it in its middle, from -1, the first, to 1, the last."""
    place = (torch.arange(pixels) - (axis.low + axis.high) / 2) / axis.jump
    return 2 * place / max(1, positions - 1) - 1


def field_of(subject: Subject, layer: str) -> Field | None:
    """The receptive field of a module's map in an image of the network's size; None where an operation in the network
    has no rule."""
    found: list[Field | None] = []

    def note(module: nn.Module, given: object, output: object) -> None:
        mark = recorder.marks.get(output) if isinstance(output, Tensor) else None
        found.append(None if mark is None else mark.field)

    recorder = Recorder(subject.network)
    handle = layers.named(subject.network, layer).register_forward_hook(note)
    image = subject.blank()
    try:
        with torch.no_grad(), recorder.watching(image):
            subject.network(image)
    finally:
        handle.remove()
    return found[-1] if found else None

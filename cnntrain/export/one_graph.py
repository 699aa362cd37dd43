"""Parts of torchvision's detectors in forms that torch.export can follow: how many boxes there are is known only when
the graph runs, and nothing that a program is made of may depend on it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import expand_boxes, expand_masks
from torchvision.ops import boxes, poolers

from cnntrain.models import box_rcnn


@contextmanager
def one_graph(side: int) -> Iterator[None]:
    """Within the block torchvision's detectors compute by the functions below.

    Args:
        side: pixels of images.
    """
    changes: list[tuple[Any, str, Callable[..., Tensor]]] = [
        (boxes, "batched_nms", partial(suppressed, side)),
        (poolers, "_multiscale_roi_align", pooled),
        (box_rcnn, "paste_masks_in_image", pasted),
    ]
    before = [getattr(module, name) for module, name, _ in changes]
    try:
        for module, name, function in changes:
            setattr(module, name, function)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torchvision's nms calls what torch has renamed
            yield
    finally:
        for (module, name, _), function in zip(changes, before, strict=True):
            setattr(module, name, function)


def suppressed(side: int, places: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """As `torchvision.ops.batched_nms` of boxes within an image: which are kept, the surest first. Each group is moved
    to where it meets no other, which torchvision does with few boxes, too."""
    moved = places + (groups.to(places) * (side + 1))[:, None]
    kept: Tensor = torch.ops.torchvision.nms(moved, scores, threshold)
    return kept


def pooled(
    maps: Sequence[Tensor],
    places: list[Tensor],
    output_size: Sequence[int],
    sampling_ratio: int,
    scales: Sequence[float],
    mapper: Callable[[list[Tensor]], Tensor],
) -> Tensor:
    """As torchvision's `MultiScaleRoIAlign`, whose boxes of each level are put together by their numbers."""
    found = poolers._convert_to_roi_format(places)
    levels = mapper(places) if len(maps) > 1 else torch.zeros(found.shape[0], dtype=torch.int64)
    numbers, parts = [], []
    for level, (each, scale) in enumerate(zip(maps, scales, strict=True)):
        own = torch.where(levels == level)[0]
        numbers.append(own)
        parts.append(poolers.roi_align(each, found[own], output_size, scale, sampling_ratio))
    return torch.cat(parts)[torch.cat(numbers).argsort()]


def pasted(masks: Tensor, places: Tensor, sides: Sequence[int], padding: int = 1) -> Tensor:
    """As torchvision's `paste_masks_in_image`: of masks [n, 1, size, size] bilinear interpolations to the sides of
    their boxes, there in images of zeros [n, 1, *sides]; each is a product with two matrices of weights."""
    whole, scale = expand_masks(masks, padding)
    corners = expand_boxes(places, scale).to(torch.int64)
    down, across = (
        _weights(corners[:, first], corners[:, first + 2], side, whole.shape[-1])
        for first, side in ((1, sides[0]), (0, sides[1]))
    )
    return (down @ whole[:, 0] @ across.transpose(1, 2))[:, None]


def _weights(first: Tensor, last: Tensor, side: int, size: int) -> Tensor:
    """[masks, side, size]: of each value of a mask along one side, in each pixel of the image."""
    length = (last - first + 1).clamp(min=1)[:, None]
    place = torch.arange(side) - first[:, None]
    source = ((place + 0.5) * (size / length) - 0.5).clamp(min=0, max=size - 1)
    low = source.floor()
    share, values = (source - low)[..., None], torch.arange(size)
    low = low[..., None]
    weights = (values == low) * (1 - share) + (values == low + 1) * share
    return torch.where(((place >= 0) & (place < length))[..., None], weights, 0.0)

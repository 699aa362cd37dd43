"""Where objects may be, told from the pixels alone: selective search (Uijlings et al. 2013, IJCV 104(2))."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from cnntrain.models.segments import segment

SCALES = (50.0, 150.0)  # of the segmentations that are grouped
LEAST = 12  # pixels of a region
COLOURS, STRENGTHS, DIRECTIONS = 25, 10, 8  # bins of a colour and of a slope's strength, slopes; as in the paper
KEPT = 16384  # images whose proposals are kept
NONE = -1.0  # every place of a row without a proposal


class Proposals(nn.Module):
    """Images [batch, channels, height, width] to float32 [batch, most, 4], the boxes of each, in pixels, the largest
    regions first; rows of `NONE` where there are fewer. Brightness and contrast do not matter: pixels are stretched to
    0 to 255.

    Those of the last `KEPT` images are kept, so that without augmentation only the first epoch searches.
    """

    opaque = True  # to torch.fx

    def __init__(self, most: int):
        super().__init__()
        if most < 1:
            raise ValueError(f"proposals must be 1 or more, not {most}")
        self.most = most
        self._kept: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self.eval()

    def train(self, mode: bool = True) -> Proposals:
        """The same in training as in an evaluation, which those are told by it who keep what is fixed."""
        return super().train(False)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_kept": OrderedDict()}  # a copy searches for itself

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        if images.is_meta:
            return images.new_empty(len(images), self.most, 4, dtype=torch.float32)
        found = np.full((len(images), self.most, 4), NONE, np.float32)
        for number, pixels in enumerate(_stretched(images).cpu().numpy()):
            boxes = self._of(pixels)
            found[number, : len(boxes)] = boxes
        return torch.from_numpy(found).to(images.device)

    def _of(self, pixels: np.ndarray) -> np.ndarray:
        key = hashlib.blake2b(pixels.tobytes() + repr(pixels.shape).encode(), digest_size=16).digest()
        found = self._kept.pop(key, None)
        self._kept[key] = found = selective_search(pixels, self.most) if found is None else found
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found


def listed(proposals: Tensor) -> list[Tensor]:
    """Of each image those that there are [n, 4]."""
    return [each[each[:, 0] >= 0] for each in proposals]


def _stretched(images: Tensor) -> Tensor:
    """uint8 [batch, height, width, channels], from the darkest to the brightest value of each image."""
    values = images.float()
    low, high = (end(dim=(1, 2, 3), keepdim=True) for end in (values.amin, values.amax))
    return ((values - low) / (high - low).clamp(min=1e-6) * 255).round().byte().permute(0, 2, 3, 1)


def selective_search(pixels: np.ndarray, most: int) -> np.ndarray:
    """float32 [at most `most`, 4]: left, top, right and bottom of regions and of groups of them, the last grouped
    first; each box once. A function of its arguments alone.

    Args:
        pixels: uint8 [height, width, channels].
    """
    slopes = _slopes(pixels)
    lists = [_grouped(pixels, slopes, each) for each in segment(pixels, SCALES, LEAST)]
    found: dict[tuple[int, ...], None] = {}
    for place in range(max(map(len, lists))):
        found |= {each[-1 - place]: None for each in lists if place < len(each)}
    return np.array([*found][:most], np.float32)


def _slopes(pixels: np.ndarray) -> np.ndarray:
    """Bins [height, width, channels, directions] of the strength of the slope in each direction."""
    values = pixels.astype(np.float32)
    across, down = (gaussian_filter(values, (1, 1, 0), order=each) for each in ((0, 1, 0), (1, 0, 0)))
    turns = 2 * np.pi * np.arange(DIRECTIONS, dtype=np.float32) / DIRECTIONS
    found = np.maximum(across[..., None] * np.cos(turns) + down[..., None] * np.sin(turns), 0)
    steepest = max(float(found.max()), 1e-6)
    return np.minimum(found * (STRENGTHS / steepest), STRENGTHS - 1).astype(np.int64)


def _histograms(pixels: np.ndarray, slopes: np.ndarray, regions: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """[regions, bins], of colours and of slopes; each of both adds up to 1."""
    flat, parts = regions.ravel(), []
    colours = pixels.astype(np.int64) * COLOURS // 256
    for values, bins in ((colours, COLOURS), (slopes, STRENGTHS)):
        kinds = values.reshape(flat.size, -1)
        for kind in kinds.T:
            counts = np.bincount(flat * bins + kind, minlength=len(sizes) * bins).reshape(-1, bins)
            parts.append(counts / (sizes[:, None] * kinds.shape[1]))
    return np.concatenate(parts, 1)


def _grouped(pixels: np.ndarray, slopes: np.ndarray, regions: np.ndarray) -> list[tuple[int, ...]]:
    """The boxes of regions, then those of groups: at each step the two most alike neighbours become one, until all
    are."""
    whole, count = regions.size, 1 + int(regions.max())
    sizes = np.zeros(2 * count - 1, np.int64)
    sizes[:count] = np.bincount(regions.ravel())
    first = _histograms(pixels, slopes, regions, sizes[:count])
    looks = np.zeros((2 * count - 1, first.shape[1]))
    looks[:count] = first
    boxes = np.zeros((2 * count - 1, 4), np.int64)
    boxes[:count] = _boxes(regions, count)
    near = _neighbours(regions, count)

    def alike(one: int, others: list[int]) -> list[float]:
        """The paper's sum of four: colours and slopes, small regions first, those that fill each other's gaps."""
        both = sizes[one] + sizes[others]
        ends = np.maximum(boxes[one, 2:], boxes[others, 2:]) - np.minimum(boxes[one, :2], boxes[others, :2])
        places = (both + ends.prod(1) - both) / whole  # (1 - both) of size and (1 - box + both) of gaps
        found: list[float] = (np.minimum(looks[one], looks[others]).sum(1) + 2 - places).tolist()
        return found

    queue = [
        (-value, one, other)
        for one in range(count)
        if (others := sorted(each for each in near[one] if each > one))
        for other, value in zip(others, alike(one, others), strict=True)
    ]
    heapify(queue)
    new = count
    while queue:
        _, one, other = heappop(queue)
        if near[one] is None or near[other] is None:
            continue  # is part of a larger one by now
        sizes[new] = sizes[one] + sizes[other]
        looks[new] = (looks[one] * sizes[one] + looks[other] * sizes[other]) / sizes[new]
        boxes[new, :2] = np.minimum(boxes[one, :2], boxes[other, :2])
        boxes[new, 2:] = np.maximum(boxes[one, 2:], boxes[other, 2:])
        around = sorted((near[one] | near[other]) - {one, other})
        near[one] = near[other] = None
        near.append({*around})
        for each in around:
            near[each] -= {one, other}
            near[each].add(new)
        for each, value in zip(around, alike(new, around) if around else [], strict=True):
            heappush(queue, (-value, each, new))
        new += 1
    return [*map(tuple, boxes[:new].tolist())]


def _boxes(regions: np.ndarray, count: int) -> np.ndarray:
    """int64 [regions, 4], right and bottom beyond the last pixel."""
    rows, columns = (each.ravel() for each in np.indices(regions.shape))
    found = np.zeros((count, 4), np.int64)
    found[:, :2] = max(regions.shape)
    for place, values in ((0, columns), (1, rows)):
        np.minimum.at(found[:, place], regions.ravel(), values)
        np.maximum.at(found[:, place + 2], regions.ravel(), values + 1)
    return found


def _neighbours(regions: np.ndarray, count: int) -> list[Any]:
    """Of each region the set of those it touches, by a side or by a corner."""
    near: list[set[int]] = [set() for _ in range(count)]
    height, width = regions.shape
    for one, other in (
        (regions[:, : width - 1], regions[:, 1:]),
        (regions[: height - 1], regions[1:]),
        (regions[: height - 1, : width - 1], regions[1:, 1:]),
        (regions[: height - 1, 1:], regions[1:, : width - 1]),
    ):
        apart = one != other
        for pair in np.unique(np.stack([one[apart], other[apart]], 1), axis=0).tolist():
            near[pair[0]].add(pair[1])
            near[pair[1]].add(pair[0])
    return near

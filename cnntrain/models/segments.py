"""Regions of alike pixels by graph-based segmentation (Felzenszwalb and Huttenlocher 2004, IJCV 59(2))."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

SMOOTHING = 0.8  # standard deviation in pixels, as in the paper
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows and columns to half of the eight neighbours


def segment(image: np.ndarray, scales: Sequence[float], least: int) -> list[np.ndarray]:
    """int64 [height, width] for each of `scales`: the number of each pixel's region, from 0 on.

    Args:
        image: [height, width, channels] from 0 to 255.
        scales: the paper's k: the larger, the larger are regions.
        least: pixels of a region.
    """
    starts, ends, weights = _edges(gaussian_filter(image.astype(np.float32), (SMOOTHING, SMOOTHING, 0)))
    order = np.argsort(weights, kind="stable")
    edges = starts[order].tolist(), ends[order].tolist(), weights[order].tolist()
    count = image.shape[0] * image.shape[1]
    return [_regions(*edges, count, scale, least).reshape(image.shape[:2]) for scale in scales]


def _edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels' numbers at both ends of each edge, and the distances of their colours."""
    height, width = image.shape[:2]
    numbers = np.arange(height * width).reshape(height, width)
    found = []
    for down, right in STEPS:
        one = np.s_[: height - down, max(0, -right) : width - max(0, right)]
        other = np.s_[down:, max(0, right) : width - max(0, -right)]
        found.append((numbers[one].ravel(), numbers[other].ravel(), _apart(image[one], image[other])))
    starts, ends, weights = (np.concatenate(each) for each in zip(*found, strict=True))
    return starts, ends, weights


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.sqrt(((one - other) ** 2).sum(-1)).ravel()


def _regions(
    starts: list[int], ends: list[int], weights: list[float], count: int, scale: float, least: int
) -> np.ndarray:
    """The paper's algorithm on edges, the lightest first. Of plain lists, which Python walks faster than arrays."""
    parent, sizes, limits = [*range(count)], [1] * count, [scale] * count  # a limit: heaviest edge + scale / size

    def root(of: int) -> int:
        while parent[of] != of:
            parent[of] = of = parent[parent[of]]
        return of

    left = []
    for start, end, weight in zip(starts, ends, weights, strict=True):
        one, other = root(start), root(end)
        if one == other:
            continue
        if weight > limits[one] or weight > limits[other]:
            left.append((one, other))
            continue
        parent[other] = one
        sizes[one] += sizes[other]
        limits[one] = weight + scale / sizes[one]
    for start, end in left:
        one, other = root(start), root(end)
        if one != other and min(sizes[one], sizes[other]) < least:
            parent[other] = one
            sizes[one] += sizes[other]
    return np.unique([root(each) for each in range(count)], return_inverse=True)[1].reshape(-1)

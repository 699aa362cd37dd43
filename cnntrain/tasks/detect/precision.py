"""Average precision of matched detections, of all images or of images drawn anew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnntrain.tasks.detect.matching import OVERLAPS, Matched

RECALLS = np.linspace(0.0, 1.0, 101)  # at which COCO takes the precision
HALF, THREE_QUARTERS = 0, 5  # places of these overlaps


def averages(found: Matched, times: np.ndarray) -> np.ndarray:
    """[draws, overlaps]: of a class; nan where no object of it is there.

    Of each recall the precision at the first detection that reaches it, or at a later one where that is better: always
    one that is right, so that only those are looked at.

    Args:
        times: float64 [draws, images]: how often each image counts.
    """
    whole = times @ found.there
    values = np.full((len(times), len(OVERLAPS)), np.nan)
    some = whole > 0
    for number, (right, wrong) in enumerate(zip(found.right, found.wrong, strict=True)):
        places = np.flatnonzero(right)
        hits = np.cumsum(times[:, found.images[places]], axis=1)[some]
        misses = times[some] @ _before(found.images, wrong, places, times.shape[1])
        precision = np.divide(hits, hits + misses, out=np.zeros_like(hits), where=hits > 0)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        reached = np.searchsorted(RECALLS, hits / whole[some, None], side="right")
        share = np.diff(reached, axis=1, prepend=0) / len(RECALLS)
        values[some, number] = (best * share).sum(1)
    return values


def curve(found: Matched, overlap: int = HALF) -> np.ndarray:
    """[recalls]: of a class the precision at each of `RECALLS`, whose mean is `averages` of all images; nan where no
    object of it is there."""
    if not found.there.sum():
        return np.full(len(RECALLS), np.nan)
    hits, misses = np.cumsum(found.right[overlap]), np.cumsum(found.wrong[overlap])
    precision = np.divide(hits, hits + misses, out=np.zeros(len(hits)), where=hits > 0)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(hits / found.there.sum(), RECALLS, side="left")
    return np.concatenate([best, [0.0]])[np.minimum(places, len(best))]


def _before(images: np.ndarray, wrong: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """float64 [images, places]: how many of an image's detections that are wrong come before each place."""
    found = np.zeros((count, len(places)))
    lines = np.flatnonzero(wrong)
    ends = np.searchsorted(places, lines)
    inside = ends < len(places)
    np.add.at(found, (images[lines[inside]], ends[inside]), 1.0)
    return np.cumsum(found, axis=1)


def means(each: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The means over classes [draws], of what `averages` found for each; nan where there is no object at all."""
    values = np.stack(each) if each else np.full((1, 1, len(OVERLAPS)), np.nan)
    known = np.isfinite(values)
    count = known[..., 0].sum(0)
    sums = np.where(known, values, 0.0).sum(0)
    found = np.divide(sums, count[:, None], out=np.full(sums.shape, np.nan), where=count[:, None] > 0)
    return {"map": found.mean(1), "map50": found[:, HALF], "map75": found[:, THREE_QUARTERS]}

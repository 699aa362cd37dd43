"""The same image several times, and nearly the same one: within a part, across parts, under several labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cnntrain.core.words import CELL, printable
from cnntrain.study.checking.findings import (
    CONTRADICTION,
    DUPLICATE,
    LEAK,
    NEAR_DUPLICATE,
    NEAR_LEAK,
    Finding,
)
from cnntrain.study.checking.looks import SIDE, Looks, in_blocks

BITS, BAND = 64, 16
BANDS = BITS // BAND
FEW = 64  # images of whose coefficients the median says nothing
DISTANCE = 7  # bits: with one error in a band, those of `BANDS` find all pairs up to here
ALIKE = 0.985  # correlation of small pictures
APART = 12.0  # grey levels between their mean colours
FAINT = 2.0  # grey levels of deviation, below which a small picture is no picture
AT_ONCE = 2**21  # pairs
CROWD = 3000  # images with the same band: no picture but a lack of one
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def exact(looks: Looks) -> Iterator[Finding]:
    """Groups of images with the same pixels, but for those of one colour."""
    for rows in _groups(looks, np.flatnonzero(looks.is_sound & ~looks.is_blank)):
        ids = [looks.ids[row] for row in rows]
        labels, parts = np.unique(looks.labels[rows]), set(looks.parts[rows])
        if len(labels) > 1:
            yield Finding(CONTRADICTION, ids, f"labels {_named(looks, rows)}")
        if len(parts) > 1:
            yield Finding(LEAK, ids, " and ".join(_in_order(parts)))
        elif len(labels) == 1:
            yield Finding(DUPLICATE, ids, next(iter(parts)))


def near(looks: Looks) -> tuple[list[Finding], int]:
    """Groups of images that are nearly the same picture but not the same pixels: resized, compressed, lighter.

    Candidates are pairs whose perceptual hashes differ in few bits; their small pictures decide. A hash has a bit for
    each of the lowest frequencies (of a discrete cosine transform, as in pHash), which says whether it is above
    its median over the set: so the bits are even, whatever the pictures have in common.

    Returns:
        The groups, and how many images were not compared with all others, being too alike to be told by hashes.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    sound = np.flatnonzero(looks.is_sound)
    _, firsts = np.unique(looks.same[sound], return_index=True)
    first = np.sort(sound[firsts])
    first = first[in_blocks(_has_picture, looks.small[first])]
    if len(first) < 2:
        return [], 0
    small = looks.small[first]
    pairs, crowded = _candidates(hashes(small))
    pairs = pairs[_are_alike(small, pairs)]
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(first), len(first)))
    _, component = connected_components(graph, directed=False)
    members = _by_value(component)
    same: dict[int, list[int]] = {int(looks.same[row]): [] for rows in members for row in first[rows]}
    for row in sound.tolist():
        if (key := int(looks.same[row])) in same:
            same[key].append(row)
    found = []
    for rows in members:
        every = sorted(each for row in first[rows] for each in same[int(looks.same[row])])
        parts = set(looks.parts[every])
        kind = NEAR_LEAK if len(parts) > 1 else NEAR_DUPLICATE
        words = " and ".join(_in_order(parts))
        if len(np.unique(looks.labels[every])) > 1:
            words += f"; labels {_named(looks, every)}"
        found.append(Finding(kind, [looks.ids[row] for row in every], words))
    return found, crowded


def _has_picture(small: np.ndarray) -> np.ndarray:
    deviation: np.ndarray = small.reshape(len(small), SIDE * SIDE * 3).std(axis=1, dtype=np.float32)
    return deviation >= FAINT


def hashes(small: np.ndarray) -> np.ndarray:
    """A perceptual hash of `BITS` bits of each small picture, uint8 [n, SIDE, SIDE, 3]: uint16 [n, BANDS]."""
    found = in_blocks(_frequencies, small)
    middle = np.median(found, axis=0) if len(found) >= FEW else 0.0
    packed = np.packbits(found > middle, axis=1)
    # neighbouring frequencies in different bands, so that one disturbance does not spoil all
    return np.ascontiguousarray(packed).view(np.uint16)


def _frequencies(small: np.ndarray) -> np.ndarray:
    """The lowest, whatever the contrast, float32 [n, BITS]."""
    from scipy.fft import dctn

    grey = small.astype(np.float32) @ LUMA
    spectrum = dctn(grey, axes=(1, 2), norm="ortho").reshape(len(grey), -1)
    rows, columns = np.divmod(np.arange(SIDE * SIDE), SIDE)
    lowest = np.argsort(np.hypot(rows, columns), kind="stable")[1 : BITS + 1]  # without the mean
    chosen: np.ndarray = spectrum[:, lowest]
    return chosen / np.maximum(np.linalg.norm(chosen, axis=1, keepdims=True), 1e-6)


def _candidates(codes: np.ndarray) -> tuple[np.ndarray, int]:
    """Pairs of rows of which some band differs in at most one bit and all together in at most `DISTANCE`, int64
    [pairs, 2], and how many rows are of a band that too many have in common. Found by multi-index hashing (Norouzi,
    Punjani & Fleet 2012, arXiv:1307.2982): not each row with each."""
    found = [np.empty((0, 2), np.int64)]
    crowded = np.zeros(len(codes), bool)
    flips = [0, *(1 << bit for bit in range(BAND))]
    for band in range(BANDS):
        keys = codes[:, band]
        order = np.argsort(keys, kind="stable")
        values, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
        start, size = np.zeros(2**BAND, np.int64), np.zeros(2**BAND, np.int64)
        start[values], size[values] = starts, counts
        crowded |= size[keys] > CROWD
        size[size > CROWD] = 0
        for flip in flips:
            found += list(_close(codes, order, start, size, keys ^ np.uint16(flip)))
    pairs = np.unique(np.concatenate(found), axis=0)
    return pairs, int(crowded.sum())


def _close(
    codes: np.ndarray, order: np.ndarray, start: np.ndarray, size: np.ndarray, keys: np.ndarray
) -> Iterator[np.ndarray]:
    """Pairs of each row with those before it whose band is in `keys`, at most `DISTANCE` apart; some at once.

    Args:
        order: rows by band; those of a value are ``order[start[value]:start[value] + size[value]]``.
    """
    counts = size[keys]
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(codes):
        end = max(begin + 1, int(np.searchsorted(ends, (ends[begin - 1] if begin else 0) + AT_ONCE, side="right")))
        some = counts[begin:end]
        left = np.repeat(np.arange(begin, end), some)
        within = np.arange(len(left)) - np.repeat(np.cumsum(some) - some, some)
        right = order[start[keys[left]] + within]
        keep = right < left
        left, right = left[keep], right[keep]
        differ = np.bitwise_xor(codes[left], codes[right])
        keep = _ONES[differ].sum(axis=1) <= DISTANCE
        yield np.stack([right[keep], left[keep]], axis=1)
        begin = end


_ONES = np.array([bin(value).count("1") for value in range(2**BAND)], np.uint8)


def _are_alike(small: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """bool [pairs]: whether two small pictures are nearly the same, up to a little light and contrast."""
    rows, pairs = np.unique(pairs, return_inverse=True)
    pairs = pairs.reshape(-1, 2)
    small = small[rows].astype(np.float32)
    means = small.mean(axis=(1, 2))
    flat = (small - means[:, None, None]).reshape(len(small), SIDE * SIDE * 3)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    alike = np.zeros(len(pairs), bool)
    for begin in range(0, len(pairs), 2**14):
        left, right = pairs[begin : begin + 2**14].T
        correlation = np.einsum("ij,ij->i", flat[left], flat[right])
        apart = np.abs(means[left] - means[right]).max(axis=1)
        alike[begin : begin + 2**14] = (correlation >= ALIKE) & (apart <= APART)
    return alike


def _groups(looks: Looks, rows: np.ndarray) -> list[np.ndarray]:
    """Of `rows` those with the same pixels, in the order of the first of each."""
    return sorted((rows[each] for each in _by_value(looks.same[rows])), key=lambda group: int(group[0]))


def _by_value(values: np.ndarray) -> list[np.ndarray]:
    """The ascending positions of each value that several have."""
    _, value, counts = np.unique(values, return_inverse=True, return_counts=True)
    several = np.flatnonzero(counts[value] > 1)
    order = several[np.argsort(value[several], kind="stable")]
    cuts = np.flatnonzero(np.diff(value[order])) + 1
    return np.split(order, cuts) if len(order) else []


def _named(looks: Looks, rows: Sequence[int] | np.ndarray) -> str:
    labels = np.unique(looks.labels[np.asarray(rows)])
    return " and ".join(printable(looks.classes[label], CELL) for label in labels)


def _in_order(parts: set[str]) -> list[str]:
    return sorted(parts, key=lambda name: ("train", "val", "test", "all").index(name))

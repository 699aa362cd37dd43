"""Stratified splits."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from cnntrain.core.errors import InputError
from cnntrain.core.words import listed

PARTS = ("train", "val", "test")


def stratified(labels: np.ndarray, fractions: Sequence[float], seed: int, classes: Sequence[str]) -> list[np.ndarray]:
    """Cut the positions of `labels` into one sorted index array a fraction, each class in proportion.

    A class keeps at least one image in the first piece (train). A rare class may be absent from a later
    piece, where its share rounds to none.

    Raises:
        InputError: a class has fewer images than there are pieces, or a piece would have fewer images than
            there are classes.
    """
    from sklearn.model_selection import train_test_split

    key = f"data.split={list(fractions)}"
    check_counts(labels, len(fractions), key, classes)
    rest = np.arange(len(labels))
    pieces: list[np.ndarray] = []
    for fraction in reversed(fractions[1:]):
        size = round(fraction * len(labels))
        try:
            rest, piece = train_test_split(rest, test_size=size, stratify=labels[rest], random_state=seed)
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise too_few(labels, key, classes, reason) from error
        pieces.insert(0, np.sort(piece))
    if len(np.unique(labels[rest])) < len(np.unique(labels)):
        raise too_few(labels, key, classes, "a class would have no image to train on")
    return [np.sort(rest), *pieces]


def stratified_by_rarest(
    labels: np.ndarray, fractions: Sequence[float], seed: int, classes: Sequence[str]
) -> list[np.ndarray]:
    """The same of bool labels [n, classes], of which an image has any number: see `by_rarest`.

    A label that would then be missing in the first piece gets one of its images there.

    Raises:
        InputError: a piece would have no images.
    """
    strata, names = by_rarest(labels, ceil(1 / min(fractions)), classes)
    train, *others = (set(piece.tolist()) for piece in stratified(strata, fractions, seed, names))
    for label in np.flatnonzero(labels.any(0) & ~labels[sorted(train)].any(0)):
        moved = int(np.flatnonzero(labels[:, label])[0])
        train.add(moved)
        others = [piece - {moved} for piece in others]
    return [np.array(sorted(piece), dtype=np.int64) for piece in (train, *others)]


def by_rarest(labels: np.ndarray, least: int, classes: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """For bool labels [n, classes] a stratum an image, and the strata's names: an image counts as one of its rarest
    label, and those of labels with fewer than `least` images count together, as those without any do."""
    by_count = np.argsort(labels.sum(0), kind="stable")
    rarest = np.where(labels.any(1), by_count[labels[:, by_count].argmax(1)], len(classes))
    names = [*classes, "(no label)", "(rare labels)"]
    sizes = np.bincount(rarest, minlength=len(names))
    strata = np.where(sizes[rarest] < least, len(names) - 1, rarest)
    if 0 < (strata == len(names) - 1).sum() < least:
        strata = np.where(strata == len(names) - 1, sizes.argmax(), strata)
    return strata, names


def check_counts(labels: np.ndarray, least: int, key: str, classes: Sequence[str]) -> None:
    """Raises InputError where a class has fewer than `least` images, for what `key` asks for."""
    counts = np.bincount(labels, minlength=len(classes))
    if any(count < least for count in counts if count):
        raise too_few(labels, key, classes, f"a class needs at least {least} images")


def too_few(labels: np.ndarray, key: str, classes: Sequence[str], reason: str) -> InputError:
    """The error of what `key` asks for, with the smallest classes."""
    counts = np.bincount(labels, minlength=len(classes))
    smallest = [int(label) for label in np.argsort(counts, kind="stable") if counts[label]][:5]
    named = ", ".join(f"{listed([classes[label]])} has {counts[label]}" for label in smallest)
    return InputError(
        f"too few images for {key} ({reason}); of {len(labels)} images in "
        f"{np.count_nonzero(counts)} classes, the smallest: {named}"
    )

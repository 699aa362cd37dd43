"""Stratified splits."""

from __future__ import annotations

from collections.abc import Sequence

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

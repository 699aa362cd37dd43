"""What the names and the sizes of classes tell by themselves, without a look at any image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cnntrain.core.words import LINE, listed, normalised, printable
from cnntrain.data.sets.dataset import Part
from cnntrain.study.checking.findings import (
    ALIKE_CLASSES,
    EMPTY_CLASS,
    IMBALANCE,
    PART_CLASSES,
    Finding,
)

PART_NAME = re.compile(
    r"(?:train|training|val|valid|validation|test|testing|dev|eval|holdout|fold|split|part|subset|cv)[ _.-]*\d*", re.I
)
UNEQUAL = 20  # times as many images as the smallest class


def class_findings(parts: Mapping[str, Part], classes: Sequence[str]) -> Iterator[Finding]:
    """What is wrong with classes whose labels are positions in `classes`."""
    counts = {name: part.counts(len(classes)) for name, part in parts.items()}
    yield from _parts_or_folds(parts, classes)
    yield from _alike(classes)
    taught = counts.get("train", counts.get("all"))
    if taught is None:
        return
    empty = [name for name, count in zip(classes, taught, strict=True) if not count]
    if empty:
        yield Finding(EMPTY_CLASS, [], listed(empty, len(empty)))
    least, most = np.flatnonzero(taught), int(taught.argmax())
    smallest = int(least[taught[least].argmin()]) if len(least) else most
    if taught[most] >= UNEQUAL * taught[smallest] > 0:
        words = (
            f"{printable(classes[most])} has {taught[most]:,} training images, {printable(classes[smallest])} "
            f"{taught[smallest]:,}"
        )
        yield Finding(IMBALANCE, [], words)


def _parts_or_folds(parts: Mapping[str, Part], classes: Sequence[str]) -> Iterator[Finding]:
    """A class may be called as a part is (a train, among vehicles): of one alone its images must lie in folders below
    it, as those of classes would."""
    named = [name for name in classes if PART_NAME.fullmatch(name.strip())]
    if len(named) == 1:
        label = classes.index(named[0])
        own = [
            id_
            for part in parts.values()
            if part.labels.ndim == 1
            for id_, each in zip(part.ids, part.labels, strict=True)
            if each == label
        ]
        below = [re.search(rf"(?:^|/){re.escape(named[0])}/[^/]+/", each) for each in own]
        named = named if own and all(below) else []
    if named:
        yield Finding(PART_CLASSES, [], f"{listed(named, len(named))}: data.root is above or beside what it should be")


def _alike(classes: Sequence[str]) -> Iterator[Finding]:
    found: dict[str, list[str]] = {}
    for name in classes:
        found.setdefault(re.sub(r"[\s_-]+", " ", normalised(name)).strip().casefold(), []).append(name)
    for names in found.values():
        if len(names) > 1:
            yield Finding(ALIKE_CLASSES, [], printable(" and ".join(map(repr, names)), LINE))

"""The images that are to be checked: as a training would divide them, or, where it could not, as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cnntrain.core.errors import InputError
from cnntrain.data.base import Data
from cnntrain.data.sets.dataset import Labelled, Part
from cnntrain.data.sets.stratify import PARTS
from cnntrain.data.sets.subset import reduced


@dataclass(frozen=True)
class Opened:
    """Attributes:
    parts: train, val and test, as far as there are these; or `all`, where they could not be divided.
    problem: why a training would stop before it begins.
    notes: what the source says of what it found.
    """

    parts: dict[str, Part]
    classes: Sequence[str]
    fingerprint: str
    problem: str | None
    notes: Sequence[str]


def opened(source: Data) -> Opened:
    """The set that a training would see, with the images that cannot be read in it.

    Raises:
        InputError: there is nothing that could be checked.
    """
    source = replace(source, on_bad="skip")  # what is listed and not there is found with what cannot be read
    try:
        found = reduced(source.load(), source.classes, source.train_per_class, source.split_seed)
    except InputError as error:
        return _as_they_are(source, error)
    return Opened(found.parts(), found.classes, found.fingerprint, None, found.notes)


def _as_they_are(source: Data, problem: InputError) -> Opened:
    """Each part by itself, with all classes that any of them has."""
    found: list[Labelled] = []
    for name in PARTS:
        try:
            found.append(source.labelled(name))
        except InputError:  # there is no such part, or it is what the problem is
            continue
        if found[-1].name not in PARTS:  # they come in no parts
            break
    if not found:
        raise problem
    classes = list(dict.fromkeys(name for each in found for name in each.classes))
    parts = {each.name: _relabelled(each, classes) for each in found}
    notes = list(dict.fromkeys(note for each in found for note in each.notes))
    return Opened(parts, classes, found[0].fingerprint, str(problem), notes)


def _relabelled(images: Labelled, classes: Sequence[str]) -> Part:
    """With labels that are positions in `classes`."""
    place = np.array([classes.index(name) for name in images.classes], dtype=np.int64)
    labels = images.part.labels
    if labels.ndim == 1:
        return replace(images.part, labels=place[labels])
    wide = np.zeros((len(labels), len(classes)), bool)
    wide[:, place] = labels
    return replace(images.part, labels=wide)

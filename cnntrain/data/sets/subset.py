"""A part of a data set: some of its classes, and so many training images of each."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from cnntrain.core import plain_json
from cnntrain.core.errors import InputError
from cnntrain.core.seeds import derive
from cnntrain.core.strings import Strings
from cnntrain.core.words import listed, normalised, printable, suggest
from cnntrain.data.sets.dataset import DataSet, Images, Labelled, Part, Targets, at_least
from cnntrain.data.sets.stratify import PARTS

SHOWN = 20  # class names in a message


@dataclass(frozen=True)
class SomeImages:
    """The images at the positions `index` of a row, decoded on access."""

    images: Images
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, position: int) -> torch.Tensor:
        return self.images[int(self.index[position])]

    def at_least(self, side: int) -> SomeImages:
        """See `Draftable`."""
        return SomeImages(at_least(self.images, side), self.index)


@dataclass(frozen=True)
class SomeTargets:
    """The targets at the positions `index` of a row."""

    targets: Targets
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, position: int) -> Any:
        return self.targets[int(self.index[position])]

    def joint(self, batch: Any) -> Any:
        return self.targets.joint(batch)

    def seen(self, target: Any) -> Any:
        return self.targets.seen(target)


def reduced(data: DataSet, classes: Sequence[str] | None, per_class: int | None, seed: int) -> DataSet:
    """The data set with `classes` only, in the set's order, and at most `per_class` training images of each.

    A class's images are drawn in the order of a hash of (seed, id): fewer are among more, and neither the other classes
    nor images added to a folder change which. Where nothing is left out, parts and fingerprint are the set's own. Of
    images with any number of labels all stay, with those of `classes`.

    Raises:
        InputError: a class is unknown, or the val or test part has no image of these classes.
    """
    kept = _labels(data, classes)
    parts: dict[str, Part] = {name: part for name in PARTS if (part := getattr(data, name)) is not None}
    index = {name: _having(part.labels, kept) for name, part in parts.items()}
    for name in index:
        if name != "train" and not len(index[name]):
            raise InputError(f"the {name} part has no image of data.classes={list(classes or ())}")
    notes = []
    if per_class is not None:
        notes = _too_few(data, index["train"], kept, per_class)
        index["train"] = _drawn(data.train, index["train"], per_class, seed)
    whole = len(kept) == len(data.classes) and len(index["train"]) == len(data.train)
    taken = {name: _taken(part, index[name], kept) for name, part in parts.items()}
    return replace(
        data,
        classes=[data.classes[label] for label in kept],
        train=taken["train"],
        val=taken["val"],
        test=taken.get("test"),
        fingerprint=data.fingerprint if whole else _fingerprint(data.fingerprint, kept, index["train"]),
        notes=[*data.notes, *notes],
    )


def val_limited(data: DataSet, limit: int | None) -> DataSet:
    """The data set with at most `limit` images of val, drawn in the order of a hash of their ids: fewer are among more.

    The fingerprint is that of the whole.
    """
    if limit is None or len(data.val) <= limit:
        return data
    drawn = sorted(range(len(data.val)), key=lambda i: (derive(0, "val_limit", data.val.ids[i]), i))[:limit]
    return replace(data, val=_some_of(data.val, np.array(sorted(drawn))), val_of=len(data.val))


def _having(labels: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The positions of the samples that are of these classes; where they have any number of labels, all."""
    return np.flatnonzero(np.isin(labels, kept)) if labels.ndim == 1 else np.arange(len(labels))


def without(data: DataSet, bad: Mapping[str, Mapping[int, str]]) -> DataSet:
    """The data set without images that cannot be read.

    Args:
        bad: of each part their positions, each with the kind of the reason.

    Raises:
        InputError: a part, or a class that others are trained beside, has no image left.
    """
    if not any(bad.values()):
        return data
    parts = data.parts()
    index = {name: _but(len(part), bad[name]) for name, part in parts.items()}
    taken = {name: _some_of(part, index[name]) for name, part in parts.items()}
    for name, part in taken.items():
        if not len(part):
            raise InputError(f"data.on_bad=skip: none of the {len(bad[name]):,} images of the {name} part can be read")
    before, after = (each.counts(len(data.classes)) for each in (data.train, taken["train"]))
    lost = [data.classes[label] for label in np.flatnonzero((before > 0) & (after == 0))]
    if lost:
        raise InputError(f"data.on_bad=skip: no training image can be read of the classes {listed(lost)}")
    skipped = {parts[name].ids[row]: kind for name, rows in bad.items() for row, kind in rows.items()}
    fingerprint = data.fingerprint
    for name in taken:
        fingerprint = _fingerprint(fingerprint, np.arange(len(data.classes)), index[name])
    return replace(
        data,
        train=taken["train"],
        val=taken["val"],
        test=taken.get("test"),
        fingerprint=fingerprint,
        skipped=skipped,
        notes=[*data.notes, _left_out(skipped)],
    )


def labelled_without(images: Labelled, bad: Mapping[int, str]) -> Labelled:
    """The same of images that are to be judged.

    Raises:
        InputError: no image is left.
    """
    if not bad:
        return images
    index = _but(len(images.part), bad)
    if not len(index):
        raise InputError(f"data.on_bad=skip: none of the {len(bad):,} images of the {images.name} part can be read")
    return replace(
        images,
        part=_some_of(images.part, index),
        fingerprint=_fingerprint(images.fingerprint, np.arange(len(images.classes)), index),
        notes=[*images.notes, _left_out([images.part.ids[row] for row in bad])],
    )


def _but(count: int, rows: Mapping[int, str]) -> np.ndarray:
    """The positions that are not in `rows`."""
    return np.setdiff1d(np.arange(count), np.array(sorted(rows), dtype=np.int64))


def _left_out(ids: Collection[str]) -> str:
    return f"left out, since they cannot be read (data.on_bad=skip): {len(ids):,} images: {listed(list(ids))}"


def of_classes(images: Labelled, classes: Sequence[str]) -> Labelled:
    """Those of `classes`, of which some may have none; images with any number of labels without the other ones.

    Raises:
        InputError: all have none.
    """
    asked = {normalised(name) for name in classes}
    kept = np.array([label for label, name in enumerate(images.classes) if normalised(name) in asked], dtype=np.int64)
    if images.part.labels.ndim == 2:
        return _with_labels(images, kept)
    index = np.flatnonzero(np.isin(images.part.labels, kept))
    if not len(index):
        raise InputError(f"the {images.name} part has no image of data.classes={list(classes)}")
    if len(index) == len(images.part):
        return images
    note = f"{len(images.part) - len(index):,} images of classes that are not in data.classes are left out"
    return replace(
        images,
        part=_some_of(images.part, index),
        fingerprint=_fingerprint(images.fingerprint, kept, index),
        notes=[*images.notes, note],
    )


def _with_labels(images: Labelled, kept: np.ndarray) -> Labelled:
    """All images, of any number of labels, with those at `kept` alone."""
    if len(kept) == len(images.classes):
        return images
    return replace(
        images,
        classes=[images.classes[label] for label in kept],
        part=replace(images.part, labels=images.part.labels[:, kept]),
        fingerprint=_fingerprint(images.fingerprint, kept, np.arange(len(images.part))),
        notes=[*images.notes, "labels that are not in data.classes are left out"],
    )


def known(images: Labelled, classes: Sequence[str]) -> tuple[Labelled, dict[str, int]]:
    """The images with labels that are positions in a network's `classes`, matched by name; and of each class that it
    does not know, whose images are left out, how many it has.

    Raises:
        InputError: they have masks, of other classes.
    """
    several, found = images.part.labels.ndim == 2, images.part.labels
    if images.part.targets is not None and list(images.classes) != list(classes):
        raise InputError(
            f"the masks of the {images.name} part are of the classes {listed(images.classes)}, and the network was "
            f"trained with {listed(list(classes))}: their numbers must mean the same"
        )
    counts = (found.sum(0) if several else np.bincount(found, minlength=len(images.classes))).tolist()
    unknown = {name: n for name, n in zip(images.classes, counts, strict=True) if n and name not in classes}
    positions = np.array([classes.index(each) if each in classes else -1 for each in images.classes], dtype=np.int64)
    if several:
        labels = np.zeros((len(found), len(classes)), dtype=bool)
        labels[:, positions[positions >= 0]] = found[:, positions >= 0]
        fits = ~found[:, positions < 0].any(1)
    else:
        labels = positions[found]
        fits = labels >= 0
    part = replace(images.part, labels=labels)
    if unknown:
        part = _some_of(part, np.flatnonzero(fits))
    return replace(images, part=part, classes=list(classes)), unknown


def _labels(data: DataSet, classes: Sequence[str] | None) -> np.ndarray:
    """The labels of `classes`, ascending; of all where it is None."""
    if classes is None:
        return np.arange(len(data.classes))
    position = {normalised(name): label for label, name in enumerate(data.classes)}
    unknown = [name for name in classes if normalised(name) not in position]
    if unknown:
        hint = suggest(unknown[0], data.classes)
        more = f" and {len(data.classes) - SHOWN} more" if len(data.classes) > SHOWN else ""
        known = ", ".join(map(printable, data.classes[:SHOWN]))
        raise InputError(f"data.classes: the set has no class {listed(unknown[:1])}{hint}; it has {known}{more}")
    return np.array(sorted({position[normalised(name)] for name in classes}))


def _drawn(part: Part, index: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    """Of the positions `index` at most `per_class` of each class, ascending."""
    drawn: list[int] = []
    for label in np.unique(part.labels[index]):
        own = index[part.labels[index] == label].tolist()
        if len(own) > per_class:
            own = sorted(own, key=lambda i: (derive(seed, "train_per_class", part.ids[i]), i))[:per_class]
        drawn += own
    return np.array(sorted(drawn), dtype=np.int64)


def _too_few(data: DataSet, index: np.ndarray, kept: np.ndarray, per_class: int) -> list[str]:
    """A line that names the classes with fewer training images than asked for, where there are any."""
    counts = np.bincount(data.train.labels[index], minlength=len(data.classes))
    short = [f"{printable(data.classes[label])} has {counts[label]}" for label in kept if counts[label] < per_class]
    more = f" and {len(short) - SHOWN} more" if len(short) > SHOWN else ""
    line = f"fewer training images than data.train_per_class={per_class}, all are taken: {', '.join(short[:SHOWN])}"
    return [line + more] if short else []


def _taken(part: Part, index: np.ndarray, kept: np.ndarray) -> Part:
    """The samples at `index`, with labels that are positions in `kept`; the part itself where all are taken."""
    if part.labels.ndim == 2:
        return part if len(kept) == part.labels.shape[1] else replace(part, labels=part.labels[:, kept])
    if len(index) == len(part) and kept[-1] == len(kept) - 1:
        return part
    some = _some_of(part, index)
    return replace(some, labels=np.searchsorted(kept, some.labels).astype(np.int64))


def _some_of(part: Part, index: np.ndarray) -> Part:
    """The samples at the positions `index`."""
    groups = None if part.groups is None else Strings.of(part.groups).take(index)
    targets = None if part.targets is None else SomeTargets(part.targets, index)
    return Part(SomeImages(part.images, index), part.labels[index], Strings.of(part.ids).take(index), groups, targets)


def _fingerprint(whole: str, kept: np.ndarray, index: np.ndarray) -> str:
    """Hex sha256 over the whole set's fingerprint, the classes, and the (training) images that are left of it."""
    digest = hashlib.sha256(plain_json.text([whole, kept.tolist()]).encode())
    digest.update(np.ascontiguousarray(index, dtype="<i8").data)
    return digest.hexdigest()

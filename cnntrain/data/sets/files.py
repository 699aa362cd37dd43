"""Data sets of image files: what a folder and a table of labels have in common."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cnntrain.core import plain_json
from cnntrain.core.errors import InputError
from cnntrain.core.words import LINE, listed, normalised, printable
from cnntrain.data.base import Data, Reading
from cnntrain.data.sets.dataset import DataSet, Images, Labelled, Part
from cnntrain.data.sets.decode import Decoded, Described, decode, described
from cnntrain.data.sets.divide import Division, check_groups_apart, divided, groups_of, sealed
from cnntrain.data.sets.listing import Listing, Sample
from cnntrain.data.sets.stratify import PARTS

NUMBER = re.compile("[0-9]{1,9}")
BETWEEN = ";"  # several labels


def joined(labels: Iterable[str]) -> str:
    """Several labels as one text, the same for the same labels."""
    return BETWEEN.join(sorted({normalised(each) for each in labels}))


class FileImages(Decoded):
    """Images decoded from files when asked for; see `decode` for what is done to them."""

    def __init__(self, root: Path | str, ids: Sequence[str], how: Reading):
        super().__init__(how)
        self.root = str(root)
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> torch.Tensor:
        return decode(os.path.join(self.root, self.ids[index]), self.how)

    def described(self, index: int) -> Described:
        """The image, and what is told of its file."""
        return described(os.path.join(self.root, self.ids[index]), self.how)


Show = Callable[[Listing], Images]  # from samples to their images


def file_set(
    source: Data,
    root: Path | str,
    found: Mapping[str, Listing | Iterable[Sample]],
    notes: Sequence[str] = (),
    show: Show | None = None,
    order: Sequence[str] | None = None,
) -> DataSet:
    """The data set of the samples `found` under `root`.

    Args:
        found: either the parts (train, and possibly val and test), or all samples under the key ``all``.
            Where val is missing, it is carved by `source.split`, and never from test.
        notes: lines for the user on what was found.
        show: None: each sample is a file of its own.
        order: names of classes, in the order of the labels; None: theirs.

    Raises:
        InputError: a part is empty, has an unknown class, does not fit `source.split`, or two parts share a file.
    """
    labelled = "all" if "all" in found else "train"
    listings = {name: Listing.of(samples) for name, samples in found.items()}
    _check_images(root, listings)
    listings, merged = _one_spelling(listings)
    several = source.several_labels
    classes = _in_order(_labels_of(listings[labelled], several), order)
    if len(classes) < (1 if several else 2):
        only = f"only {classes[0]!r} was found" if classes else "none was found"
        raise InputError(f"{root}: needs at least {'one label' if several else 'two classes'}, but {only}")
    _check_known(root, classes, listings, several)
    by_part = _carve(source, root, listings, classes)
    _check_apart(root, by_part)
    if source.group is not None:
        check_groups_apart({name: _groups(source.group, samples) for name, samples in by_part.items()})
    show = show or _files(source, root)
    parts = {name: _part(by_part[name], classes, show, several) for name in PARTS if name in by_part}
    return DataSet(
        classes=classes,
        channels=source.channels,
        native_size=None,
        train=parts["train"],
        val=parts["val"],
        test=parts.get("test"),
        fingerprint=_fingerprint(by_part, classes, source),
        modified=_modified(by_part),
        notes=[*notes, *merged, *sealed(source.folds, "test" in found)],
    )


def labelled_files(
    source: Data,
    root: Path | str,
    found: Mapping[str, Listing | Iterable[Sample]],
    part: str,
    notes: Sequence[str],
    show: Show | None = None,
    order: Sequence[str] | None = None,
) -> Labelled:
    """The samples of a part, or ``all``, of what was found as for `file_set`; no class must be there.

    Raises:
        InputError: the part is not there or has no images.
    """
    name = "all" if "all" in found else part
    if name not in found:
        raise InputError(f"{root}: has no {part} part; choose part={' or part='.join(found)}")
    taken, merged = _one_spelling({name: Listing.of(found[name])})
    _check_images(root, taken)
    classes = _in_order(_labels_of(taken[name], source.several_labels), order)
    if name == "all":
        notes = [*notes, f"the images come in no parts: all {len(taken[name]):,} are taken"]
    shown = _part(taken[name], classes, show or _files(source, root), source.several_labels)
    fingerprint = _fingerprint(taken, classes, source)
    return Labelled(classes, shown, name, fingerprint, [*notes, *merged])


def _check_images(root: Path | str, found: Mapping[str, Listing]) -> None:
    for name, samples in found.items():
        if not len(samples):
            raise InputError(f"{root}: the {name} part has no images" if name != "all" else f"{root}: no images")


def _one_spelling(found: Mapping[str, Listing]) -> tuple[dict[str, Listing], list[str]]:
    """The samples with classes that look alike made one, and a line that names those."""
    spellings: dict[str, set[str]] = {}
    one: dict[str, Listing] = {}
    for part, samples in found.items():
        one[part] = replace(samples, names=tuple(map(normalised, samples.names)))
        for name in sorted(samples.used):  # a set has another order in each process
            spellings.setdefault(normalised(name), set()).add(name)
    several = [" and ".join(map(ascii, sorted(each))) for each in spellings.values() if len(each) > 1]
    return one, [f"one class, though written differently: {printable('; '.join(several), LINE)}"] if several else []


def _labels_of(samples: Listing, several: bool) -> set[str]:
    return {label for each in samples.used for label in _names(each, several)}


def _names(label: str, several: bool) -> list[str]:
    return [name for name in label.split(BETWEEN) if name] if several else [label]


def _check_known(root: Path | str, classes: Sequence[str], found: Mapping[str, Listing], several: bool) -> None:
    for name, samples in found.items():
        unknown = sorted(_labels_of(samples, several) - set(classes))
        if unknown:
            raise InputError(f"{root}: the {name} part has classes that the train part lacks: {listed(unknown)}")


def _check_apart(root: Path | str, parts: Mapping[str, Listing]) -> None:
    """No file is in two parts, by whatever links; file systems without inodes say 0 for all."""
    taken = [(name, parts[name]) for name in PARTS if name in parts]
    files = np.concatenate([samples.files for _, samples in taken])
    part = np.repeat(np.arange(len(taken)), [len(samples) for _, samples in taken])
    _, first, of = np.unique(files, axis=0, return_index=True, return_inverse=True)
    again = np.flatnonzero((part != part[first[of.reshape(-1)]]) & (files[:, 1] != 0))
    if len(again):
        starts = np.searchsorted(part, np.arange(len(taken)))
        at = first[of.reshape(-1)[again[0]]], again[0]
        one, other = ((*taken[part[each]], each - starts[part[each]]) for each in at)
        shown, others = (f"{printable(samples.ids[row])} ({name})" for name, samples, row in (one, other))
        raise InputError(f"{root}: {shown} and {others} are one file: an image must not be in two parts")


def _carve(
    source: Data, root: Path | str, found: Mapping[str, Listing], classes: Sequence[str]
) -> Mapping[str, Listing]:
    """Split the training samples, or all of them; without `source.split` in [.9, .1] or in [.6, .2, .2].

    Of folds one is the test part, and the set's own is left out. Where there is a val part nothing is split.
    """
    how = Division.asked(source, root, found)
    if how is None:
        return found
    samples = found["all" if "all" in found else "train"]
    groups = None if source.group is None else _groups(source.group, samples)
    labels = _labels(samples, classes, source.several_labels)
    pieces = divided(labels, classes, how, groups)
    carved = {name: samples.take(piece) for name, piece in pieces.items()}
    return {name: samples for name, samples in {**found, **carved}.items() if name != "all"}


def _groups(pattern: str, samples: Listing) -> Sequence[str]:
    """Those of a table's column where there is one, else what the pattern finds in the ids."""
    return groups_of(pattern, samples.ids) if samples.groups is None else samples.groups


def numbered(samples: Mapping[str, Listing]) -> list[str]:
    """The labels in the order of the numbers that they are; none where they are words."""
    labels = {label for part in samples.values() for label in part.used}
    return sorted(labels, key=int) if all(NUMBER.fullmatch(label) for label in labels) else []


def _in_order(classes: set[str], order: Sequence[str] | None) -> list[str]:
    """The classes as `order` has them, then those that it lacks by their names."""
    place = {normalised(name): number for number, name in enumerate(order or ())}
    return sorted(classes, key=lambda name: (place.get(name, len(place)), name))


def _files(source: Data, root: Path | str) -> Show:
    return lambda samples: FileImages(root, samples.ids, source.reading)


def _part(samples: Listing, classes: Sequence[str], show: Show, several: bool) -> Part:
    return Part(show(samples), _labels(samples, classes, several), samples.ids, samples.groups)


def _labels(samples: Listing, classes: Sequence[str], several: bool) -> np.ndarray:
    position = {name: label for label, name in enumerate(classes)}
    if not several:
        return np.array([position.get(name, -1) for name in samples.names], dtype=np.int64)[samples.codes]
    labels = np.zeros((len(samples), len(classes)), dtype=bool)
    for row, each in zip(labels, samples.labels, strict=True):
        row[[position[name] for name in _names(each, several)]] = True
    return labels


def _fingerprint(parts: Mapping[str, Listing], classes: Sequence[str], source: Data) -> str:
    """Hex sha256 over classes, channels, a depth other than 8, and each part's paths below the root, labels and sizes.

    Contents are not read (an ImageNet takes minutes) and times are not used (a copy has others), so an image
    replaced by another of the same size in bytes goes unnoticed.
    """
    depth = [source.depth] if source.depth != 8 else []
    digest = hashlib.sha256(plain_json.text([list(classes), source.channels, *depth]).encode())
    for name in (*PARTS, *(["all"] if "all" in parts else [])):
        if name not in parts:
            digest.update(plain_json.text([name, None]).encode())
            continue
        samples = parts[name]
        digest.update(f"[{plain_json.text(name)}, ".encode())
        for each in plain_json.in_pieces(zip(samples.ids, samples.labels, samples.sizes.tolist(), strict=True)):
            digest.update(each.encode())
        digest.update(b"]")
    return digest.hexdigest()


def _modified(parts: Mapping[str, Listing]) -> str:
    """Hex sha256 over the times at which the parts' files last changed."""
    times = [parts[name].modified.tolist() for name in PARTS if name in parts]
    return hashlib.sha256(plain_json.text(times).encode()).hexdigest()

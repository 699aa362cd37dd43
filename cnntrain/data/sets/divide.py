"""Which samples are trained on, which judge an epoch, which test: fractions or folds, with groups kept together."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from cnntrain.core.errors import InputError
from cnntrain.core.words import listed
from cnntrain.data.base import Data
from cnntrain.data.sets.stratify import PARTS, by_rarest, check_counts, stratified, stratified_by_rarest, too_few

MOST_PIECES = 20  # in which grouped samples are cut to come near to a fraction
SHOWN = 5  # groups in a message

T = TypeVar("T", bound="Of")


@dataclass(frozen=True)
class Division:
    """How samples are divided.

    Attributes:
        fractions: of train, val and possibly test; with `folds` the ratio of train to val alone counts.
        folds: of which number `fold` is the test part; None: by `fractions`.
    """

    fractions: Sequence[float]
    seed: int
    folds: int | None
    fold: int | None

    @classmethod
    def asked(
        cls, source: Data, where: object, parts: Collection[str], whole: Sequence[float] = (0.6, 0.2, 0.2)
    ) -> Division | None:
        """How a source wants a set to be divided that comes in `parts` (train, and possibly val and test), of which it
        is train, or as one whole, named ``all``; None: it has a val part of its own, so that nothing is.

        Args:
            where: what a message names.
            whole: how a whole is divided where `source.split` is null.

        Raises:
            InputError: the keys do not fit the parts.
        """
        if "val" in parts:
            for key, value in (("split", source.split), ("folds", source.folds)):
                if value is not None:
                    raise InputError(f"{where}: has its own train and val parts, so data.{key}={value} must be null")
            return None
        fractions = source.split or ([*whole] if "all" in parts else [0.9, 0.1])
        if "test" in parts and len(fractions) == 3 and source.folds is None:
            raise InputError(f"{where}: has its own test part, so data.split={fractions} must have two fractions")
        return cls(fractions, source.split_seed, source.folds, source.fold)


def divided(
    labels: np.ndarray, classes: Sequence[str], how: Division, groups: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """The sorted positions of `labels` in each part, by its name; each class in proportion, as near as groups allow.

    A function of the arguments alone. With folds, the test parts of all of them hold each sample once.

    Args:
        labels: int64 [n], or of any number of labels an image bool [n, classes].
        groups: the name of each sample's; samples of one come into one part.

    Raises:
        InputError: there are too few images of a class, or too few groups.
    """
    if labels.ndim == 2:
        return _of_several(labels, classes, how, groups)
    if how.folds is None:
        if groups is None:
            pieces = stratified(labels, how.fractions, how.seed, classes)
        else:
            pieces = _grouped(labels, how.fractions, how.seed, classes, np.asarray(groups))
        return dict(zip(PARTS, pieces, strict=False))
    names = None if groups is None else np.asarray(groups)
    assert how.fold is not None, "checked with the configuration"
    test = _folds(labels, classes, how.folds, how.seed, names)[how.fold]
    rest = np.setdiff1d(np.arange(len(labels)), test)
    if len(np.unique(labels[rest])) < len(np.unique(labels)):
        raise too_few(labels, f"data.folds={how.folds}", classes, "with whole groups a class would be tested alone")
    share = how.fractions[1] / (how.fractions[0] + how.fractions[1])
    fractions = [1 - share, share]
    if names is None:
        train, val = stratified(labels[rest], fractions, how.seed, classes)
    else:
        train, val = _grouped(labels[rest], fractions, how.seed, classes, names[rest])
    return {"train": rest[train], "val": rest[val], "test": test}


def _of_several(
    labels: np.ndarray, classes: Sequence[str], how: Division, groups: Sequence[str] | None
) -> dict[str, np.ndarray]:
    if how.folds is None and groups is None:
        return dict(zip(PARTS, stratified_by_rarest(labels, how.fractions, how.seed, classes), strict=False))
    least = ceil(1 / min(how.fractions)) if how.folds is None else 2 * how.folds
    strata, names = by_rarest(labels, least, classes)
    found = divided(strata, names, how, groups)
    alone = [classes[int(label)] for label in np.flatnonzero(labels.any(0) & ~labels[found["train"]].any(0))]
    if alone:
        key = f"data.split={list(how.fractions)}" if how.folds is None else f"data.folds={how.folds}"
        raise InputError(f"too few images for {key}: none with the label {listed(alone)} would be trained on")
    return found


def groups_of(pattern: str, ids: Sequence[str]) -> list[str]:
    """What the pattern's (group) matches in each id.

    Raises:
        InputError: it does not match in one.
    """
    found = [re.search(pattern, each) for each in ids]
    without = [id_ for id_, match in zip(ids, found, strict=True) if match is None or match[1] is None]
    if without:
        raise InputError(f"data.group={pattern} does not match {len(without):,} of {len(ids):,} ids: {listed(without)}")
    return [match[1] for match in found if match is not None]


class Of(Protocol):
    """What is divided.

    Attributes:
        image: its path below the root, with forward slashes.
    """

    @property
    def image(self) -> str: ...


def pieces_of(
    source: Data, root: Path, found: Mapping[str, Sequence[T]], labels: Mapping[str, np.ndarray], names: Sequence[str]
) -> dict[str, tuple[Sequence[T], np.ndarray]]:
    """Each part's samples and their labels, of parts that are given, or of all under the key ``all``, as `source` has
    them divided.

    Raises:
        InputError: they do not fit `source.split`, or a group is in two parts.
    """
    pieces = {part: (found[part], labels[part]) for part in found if part != "all"}
    how = Division.asked(source, root, found)
    if how is not None:
        part = "all" if "all" in found else "train"
        groups = None if source.group is None else groups_of(source.group, [each.image for each in found[part]])
        cut = divided(labels[part], names, how, groups)
        pieces |= {name: ([found[part][k] for k in index], labels[part][index]) for name, index in cut.items()}
    if source.group is not None:
        check_groups_apart({n: groups_of(source.group, [p.image for p in each]) for n, (each, _) in pieces.items()})
    return pieces


def sealed(folds: int | None, own_test: bool) -> list[str]:
    """A line that says which part a set of folds leaves out, where it does."""
    if folds is None or not own_test:
        return []
    return [
        f"data.folds={folds} divides the training images; the set's own test part is looked at by nothing but "
        "cnntrain eval run=... data.folds=null data.fold=null"
    ]


def check_groups_apart(groups: Mapping[str, Sequence[str]]) -> None:
    """Raises InputError where samples of one group are in several of the parts that `groups` are of."""
    parts: dict[str, list[str]] = {}
    for part, names in groups.items():
        for name in set(names):
            parts.setdefault(name, []).append(part)
    torn = sorted(name for name, found in parts.items() if len(found) > 1)
    if torn:
        where = sorted({part for name in torn for part in parts[name]}, key=PARTS.index)
        raise InputError(
            f"data.group: {len(torn):,} of {len(parts):,} groups are in several parts that the set comes in "
            f"({', '.join(where)}): {listed(torn[:SHOWN])}; move their images, or leave data.group out"
        )


def _folds(
    labels: np.ndarray, classes: Sequence[str], folds: int, seed: int, groups: np.ndarray | None
) -> list[np.ndarray]:
    """The sorted positions of each fold."""
    from sklearn.model_selection import StratifiedKFold

    key = f"data.folds={folds}"
    if groups is not None:
        return _group_folds(labels, classes, folds, seed, groups, key)
    check_counts(labels, folds, key, classes)
    return [np.sort(test) for _, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)]


def _group_folds(
    labels: np.ndarray, classes: Sequence[str], folds: int, seed: int, groups: np.ndarray, key: str
) -> list[np.ndarray]:
    """The sorted positions of each fold, cut between groups.

    Args:
        key: what asks for them.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    _check_groups(labels, classes, folds, groups, key)
    with warnings.catch_warnings():  # of classes with fewer images than folds, which groups cannot always avoid
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        try:
            cut = list(StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(labels, labels, groups))
        except ValueError as error:
            raise too_few(labels, key, classes, " ".join(str(error).split())) from error
    found = [np.sort(test) for _, test in cut]
    if not all(map(len, found)):
        raise too_few(labels, key, classes, "the groups are so unequal that a part would have no image")
    return found


def _grouped(
    labels: np.ndarray, fractions: Sequence[float], seed: int, classes: Sequence[str], groups: np.ndarray
) -> list[np.ndarray]:
    """One sorted index array a fraction: of equal pieces that are cut between groups, as many as come near to it."""
    key = f"data.split={list(fractions)}"
    rest, whole = np.arange(len(labels)), 1.0
    pieces: list[np.ndarray] = []
    for fraction in reversed(fractions[1:]):
        share = Fraction(fraction / whole).limit_denominator(MOST_PIECES)
        cuts = max(2, min(share.denominator, len(np.unique(groups[rest]))))
        taken = min(max(1, round(fraction / whole * cuts)), cuts - 1)
        found = _group_folds(labels[rest], classes, cuts, seed, groups[rest], key)
        piece = np.sort(rest[np.concatenate(found[:taken])])
        pieces.insert(0, piece)
        rest, whole = np.setdiff1d(rest, piece), whole - fraction
    if len(np.unique(labels[rest])) < len(np.unique(labels)):
        raise too_few(labels, key, classes, "with whole groups a class would have no image to train on")
    return [rest, *pieces]


def _check_groups(labels: np.ndarray, classes: Sequence[str], pieces: int, groups: np.ndarray, key: str) -> None:
    if len(np.unique(groups)) < pieces:
        raise too_few(labels, key, classes, f"{len(np.unique(groups))} groups cannot be in {pieces} parts")
    alone = [classes[label] for label in np.unique(labels) if len(np.unique(groups[labels == label])) == 1]
    if alone:
        raise too_few(labels, key, classes, f"all images of {listed(alone)} are of one group")

"""Samples in tables of the datasets package: which columns and splits, and reading images row by row."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cnntrain.core.errors import InputError
from cnntrain.core.words import listed, printable
from cnntrain.data.base import Data, Reading
from cnntrain.data.sets.decode import Decoded, decode
from cnntrain.data.sets.files import Show, numbered
from cnntrain.data.sets.listing import Listing, Sample
from cnntrain.data.sets.parts import SPELLINGS

ROWS = 1000  # read at once
UNKNOWN = -1  # what stands for the label of an image that has none
NONE = ""  # the same, in a sample


@dataclass(frozen=True)
class Found:
    """What tables hold.

    Attributes:
        samples: by part, or under ``all``; `id` is of a split and a row, `size` in bytes of the image as a file.
        order: names of classes in the order of their numbers.
        notes: lines for the user.
    """

    samples: dict[str, Listing]
    show: Show
    order: Sequence[str]
    notes: list[str]


class ColumnImages(Decoded):
    """Images decoded from rows of a table when asked for; see `decode` for what is done to them."""

    travels = False

    def __init__(self, rows: Any, column: str, ids: Sequence[str], how: Reading):
        super().__init__(how)
        self.rows = rows
        self.column = column
        self.ids = ids
        self.index = np.array([int(each.rpartition("/")[2]) for each in ids], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, position: int) -> torch.Tensor:
        image = self.rows[int(self.index[position])][self.column]
        if image["bytes"] is None:
            return decode(image["path"], self.how)
        return decode(self.ids[position], self.how, image["bytes"])


def find(
    source: Data,
    sets: Mapping[str, Any],
    roots: Sequence[Path],
    splits: Mapping[str, str | None],
    columns: tuple[str | None, str | None],
) -> Found:
    """The samples of the splits that are a set's parts.

    Args:
        sets: each split, a `datasets.Dataset`.
        roots: folders in which images that are files must be.
        splits: by part, the name of its split; None: told by its name.
        columns: of images and of labels; None: told by their types.

    Raises:
        InputError: a split or a column is not there or not what it should be, or images have no label.
    """
    import datasets

    samples: dict[str, Listing] = {}
    names: list[str] = []
    rows: dict[str, Any] = {}
    notes: list[str] = []
    for part, split in _parts(sets, splits).items():
        image, label = _columns(sets[split], split, *columns)
        rows[split] = sets[split].select_columns([image]).cast_column(image, datasets.Image(decode=False))
        feature = sets[split].features[label]
        names = names or list(getattr(feature, "names", ()))
        found = Listing.of(_rows(sets[split], split, image, label, roots))
        unlabelled = [id_ for id_, each in zip(found.ids, found.labels, strict=True) if each == NONE]
        if part == "test" and splits["test"] is None and len(unlabelled) == len(found):
            notes.append(f"the split {split} has no labels, so that there is no test part")
        elif unlabelled:
            count = f"{len(unlabelled):,} of the {len(found):,} images"
            raise InputError(f"{count} of the split {split} have no label: {listed(unlabelled)}")
        else:
            samples[part] = found

    def show(some: Listing) -> ColumnImages:
        split = some.ids[0].rpartition("/")[0]
        (column,) = rows[split].column_names
        return ColumnImages(rows[split], column, some.ids, source.reading)

    return Found(samples, show, names or numbered(samples), notes)


def _parts(sets: Mapping[str, Any], splits: Mapping[str, str | None]) -> dict[str, str]:
    """The split of each part that there is, or the only one under ``all``."""
    for part, name in splits.items():
        if name is not None and name not in sets:
            raise InputError(f"data.{part}_split={name}: the set has the splits {listed(list(sets))}")
    if list(sets) == ["all"]:
        return {"all": "all"}
    by_name = {part: [each for each in SPELLINGS[part] if each in sets] for part in splits}
    return {part: name or by_name[part][0] for part, name in splits.items() if name is not None or by_name[part]}


def _columns(table: Any, split: str, image: str | None, label: str | None) -> tuple[str, str]:
    """The columns of images and of labels."""
    import datasets

    features = table.features
    images = [name for name, each in features.items() if isinstance(each, datasets.Image)]
    classes = [name for name, each in features.items() if isinstance(each, datasets.ClassLabel)]
    plain = [name for name, each in features.items() if _is_plain(each)]
    if label is None and len(classes) != 1 and "label" in plain:
        classes = ["label"]
    chosen = []
    for key, name, of_type, found in (
        ("image_column", image, images, images),
        ("label_column", label, [*classes, *plain], classes),
    ):
        if name is not None and name not in of_type:
            raise InputError(f"data.{key}={name}: of the columns {listed(list(features))} it can be {listed(of_type)}")
        if name is None and len(found) != 1:
            which = f"{listed(found)} all can be" if found else "none of them is"
            raise InputError(
                f"the split {split} has the columns {listed(list(features))}: {which} the one of data.{key}"
            )
        chosen.append(name or found[0])
    return chosen[0], chosen[1]


def _is_plain(feature: Any) -> bool:
    """Whether a column is of words or whole numbers."""
    dtype = str(getattr(feature, "dtype", ""))
    return dtype in ("string", "large_string") or dtype.startswith(("int", "uint"))


def _rows(table: Any, split: str, image: str, label: str, roots: Sequence[Path]) -> Iterator[Sample]:
    """The rows of a split as samples, of whose images only the sizes are read."""
    import pyarrow.compute as pc

    names = getattr(table.features[label], "names", None)
    modified = int.from_bytes(
        str(table._fingerprint).encode()[:7]
    )  # of the files' times and sizes, or of the saved set
    number = 0
    for batch in table.select_columns([image, label]).with_format("arrow").iter(ROWS):
        column = batch[image]
        sizes = pc.binary_length(pc.struct_field(column, "bytes")).to_pylist()
        paths = pc.struct_field(column, "path").to_pylist() if None in sizes else [None] * len(sizes)
        for value, size, path in zip(batch[label].to_pylist(), sizes, paths, strict=True):
            id_ = f"{split}/{number}"
            name = _label(value, names, id_)
            if size is None:
                status = _status(path, roots, id_)
                yield Sample(id_, name, status.st_size, status.st_mtime_ns, (status.st_dev, status.st_ino))
            else:
                yield Sample(id_, name, size, modified, (0, 0))
            number += 1


def _label(value: Any, names: Sequence[str] | None, where: str) -> str:
    if value is None or value == UNKNOWN:
        return NONE
    if names is None:
        return str(value).strip()
    if not 0 <= value < len(names):
        raise InputError(f"{where}: its label is {value}, but there are {len(names)} classes")
    return names[value]


def _status(path: str | None, roots: Sequence[Path], where: str) -> os.stat_result:
    """Of an image that is a file: a table that comes from elsewhere may not lead to any."""
    if path is None:
        raise InputError(f"{where}: has no image")
    if not any(Path(os.path.normpath(path)).is_relative_to(root) for root in roots):
        raise InputError(f"{where}: its image {printable(path)} is not below {' or '.join(map(str, roots))}")
    try:
        return os.stat(path)
    except OSError as error:
        raise InputError(f"{where}: {printable(path)}: {error.strerror}") from error

"""Image files listed with their labels in a table."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from cnntrain.core.errors import InputError
from cnntrain.core.limits import Place
from cnntrain.core.paths import absolute
from cnntrain.core.words import listed, normalised, printable
from cnntrain.data.base import Data
from cnntrain.data.sets.checks import refuse_download

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet, Labelled
    from cnntrain.data.sets.listing import Listing, Sample


COLUMNS = ("path", "label", "split")


@dataclass(frozen=True)
class Csv(Data):
    """A UTF-8 table with a header, of the columns ``path``, ``label`` and, if it comes in parts, ``split``.
    `group` may name one more.

    Paths are relative to the root and stay below it. Labels are text, so ``007`` is not ``7``;
    space around them does not count. Several labels of an image are ``a;b`` in the label column, which may be empty;
    or there is no such column, and each other one is of a label, with 1 or 0.
    """

    divides = True
    of_files = True
    any_channels = True

    csv: Place  # the table, relative to root; where root is null, images are relative to the table's folder
    labels: Literal["one", "several"]  # an image

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_download(self)
        for key, value in (("train_per_class", self.train_per_class), ("balance", self.balance or None)):
            if self.several_labels and value is not None:
                raise ValueError(f"{key}={value} is for one label an image: leave it out with labels=several")

    @property
    def several_labels(self) -> bool:
        return self.labels == "several"

    @property
    def _form(self) -> Form:
        return Form(self.several_labels, self.group)

    def _check_group(self) -> None:
        if self.group in COLUMNS:
            raise ValueError(f"group={self.group} must name a column of its own beside {', '.join(COLUMNS)}")

    def places(self) -> dict[str, str]:
        return {"csv": absolute(self.csv)} if self.root is None else super().places()

    def load(self) -> DataSet:
        from cnntrain.data.sets.files import file_set

        table, root = self._table_and_root()
        found, order = _found(table, root, self._form, skips=self.on_bad == "skip")
        if self.group is not None and any(samples.groups is None for samples in found.values()):
            raise InputError(f"{table}:1: has no column {self.group!r}, which data.group names")
        if "train" not in found and "all" not in found:
            raise InputError(f"{table}: no row has split=train")
        data = file_set(self, root, found, order=order)
        never = [name for name in order if name not in data.classes]
        notes = [f"no training image has the label {listed(never)}, which is left out"] if never else []
        return replace(data, notes=[*data.notes, *notes])

    def labelled(self, part: str) -> Labelled:
        from cnntrain.data.sets.files import labelled_files

        table, root = self._table_and_root()
        found, order = _found(table, root, self._form, skips=self.on_bad == "skip")
        return labelled_files(self, root, found, part, [], order=order)

    def _table_and_root(self) -> tuple[Path, Path]:
        table = Path(absolute(os.path.join(self.root or "", self.csv)))
        return table, table.parent if self.root is None else Path(absolute(self.root))


class Form(NamedTuple):
    """What is asked of a table's columns.

    Attributes:
        several: labels an image.
        group: name of the column of groups, which need not be there; None: there is none.
    """

    several: bool
    group: str | None

    def label_columns(self, columns: Iterable[str]) -> list[str]:
        """Those that are of a label each; none where there is one of labels."""
        given = list(columns)
        return [] if "label" in given else [each for each in given if each not in ("path", "split", self.group)]


def _found(table: Path, root: Path, form: Form, skips: bool) -> tuple[dict[str, Listing], list[str]]:
    """The samples by the value of their split column, or under ``all`` where there is none; and the names of labels
    that are columns, in their order.

    Args:
        skips: whether a missing file is a sample that cannot be read, rather than an error.
    """
    from cnntrain.data.sets.listing import Listing, absent, sample

    found: dict[str, list[Sample]] = {}
    first: dict[str, str] = {}
    missing: list[str] = []
    columns: list[str] = []
    for where, row in _rows(table, form):
        columns = columns or form.label_columns(row)
        path = _below(root, row["path"], where)
        if path in first:
            raise InputError(f"{where}: {row['path']!r} is listed before, at {first[path]}")
        first[path] = where
        status = _status(root / path)
        if status is None and not skips:
            missing.append(path)
        else:
            member = row.get(form.group) if form.group is not None else None
            label = _label(where, row, form)
            each = absent(path, label, member) if status is None else sample(path, label, status, member)
            found.setdefault(row.get("split", "all"), []).append(each)
    if missing:
        raise InputError(f"{table}: {len(missing)} of {len(first)} files are not below {root}: {listed(missing)}")
    if not found:
        raise InputError(f"{table}: has no rows")
    return {name: Listing.of(samples) for name, samples in found.items()}, [normalised(each) for each in columns]


def _label(where: str, row: dict[str, str], form: Form) -> str:
    """As `Sample` has it."""
    from cnntrain.data.sets.files import BETWEEN, joined

    if not form.several:
        return row["label"]
    if "label" in row:
        return joined(each for each in row["label"].split(BETWEEN) if each.strip())
    columns = form.label_columns(row)
    for name in columns:
        if row[name].strip() not in ("0", "1"):
            raise InputError(f"{where}: the column {printable(name)} is {row[name]!r}, and must be 1 or 0")
    return joined(name for name in columns if row[name].strip() == "1")


def _below(root: Path, path: str, where: str) -> str:
    """A path as it is from the root, without ``..``.

    It is judged as it is written: a link inside the root may lead to wherever its owner keeps the images, a table that
    comes from elsewhere may not.

    Args:
        where: its place in the table.

    Raises:
        InputError: it leads out of the root.
    """
    relative = os.path.relpath(os.path.join(root, path), root)  # of these the lexical part alone
    if relative.split(os.sep)[0] in (os.pardir, os.curdir):
        raise InputError(f"{where}: {path!r} is not below {root}: move the file there, or set data.root above it")
    return relative


def _rows(table: Path, form: Form) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row with its place as ``file:line``, checked."""
    line = 1
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            columns = next(reader, [])
            _check_columns(table, columns, form)
            line = reader.line_num + 1
            for fields in reader:
                where, line = f"{table}:{line}", reader.line_num + 1
                if fields:
                    yield where, _row(where, columns, fields, form)
    except UnicodeDecodeError as error:
        raise InputError(f"{table}: is not UTF-8 text ({error})") from error
    except csv.Error as error:
        raise InputError(f"{table}:{line}: {error}") from error
    except OSError as error:
        raise InputError(f"{table}: {error.strerror}; data.csv names the table, relative to data.root") from error


def _check_columns(table: Path, columns: list[str], form: Form) -> None:
    expected = "the first line must be path,label or path,label,split"
    if form.several:
        expected += ", or have in place of label a column for each label"
    unknown = [column for column in columns if column not in (*COLUMNS, form.group)]
    if form.several and "label" not in columns:
        _check_label_columns(table, unknown)
    elif unknown:
        raise InputError(f"{table}:1: unknown columns {', '.join(map(repr, unknown))}; {expected}")
    has_labels = "label" in columns or (form.several and bool(unknown))
    if "path" not in columns or not has_labels or len(set(columns)) < len(columns):
        raise InputError(f"{table}:1: has the columns {','.join(columns) or '(none)'}; {expected}")


def _check_label_columns(table: Path, columns: Sequence[str]) -> None:
    from cnntrain.data.sets.files import BETWEEN

    wrong = [each for each in columns if not each.strip() or BETWEEN in each]
    if wrong or len({normalised(each) for each in columns}) < len(columns):
        named = f"not {listed(wrong)}" if wrong else "none of which stands twice"
        raise InputError(f"{table}:1: columns of labels need names without {BETWEEN!r}, {named}")


def _row(where: str, columns: list[str], fields: list[str], form: Form) -> dict[str, str]:
    if len(fields) != len(columns):
        raise InputError(f"{where}: {len(fields)} fields instead of {len(columns)}; text with a comma needs quotes")
    row = dict(zip(columns, fields, strict=True))
    given = [each for each in ("path", "label", form.group) if each in row]
    for column in given:
        may_be_empty = column == "label" and form.several
        if (not row[column].strip() and not may_be_empty) or "\0" in row[column]:
            raise InputError(f"{where}: the {column} is {row[column]!r}")
    if row.get("split", "train") not in ("train", "val", "test"):
        raise InputError(f"{where}: split must be train, val or test, not {row['split']!r}")
    return row


def _status(path: Path) -> os.stat_result | None:
    """Of a file; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None

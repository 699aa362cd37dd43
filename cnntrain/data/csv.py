"""Image files listed with their labels in a table."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnntrain.core.errors import InputError
from cnntrain.core.limits import Place
from cnntrain.core.paths import absolute
from cnntrain.core.words import listed
from cnntrain.data.base import Data
from cnntrain.data.sets.checks import refuse_download

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet, Labelled
    from cnntrain.data.sets.files import Sample


COLUMNS = ("path", "label", "split")


@dataclass(frozen=True)
class Csv(Data):
    """A UTF-8 table with a header, of the columns ``path``, ``label`` and, if it comes in parts, ``split``.
    `group` may name one more.

    Paths are relative to the root and stay below it. Labels are text, so ``007`` is not ``7``;
    space around them does not count.
    """

    divides = True

    csv: Place  # the table, relative to root; where root is null, images are relative to the table's folder

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_download(self)

    def _check_group(self) -> None:
        if self.group in COLUMNS:
            raise ValueError(f"group={self.group} must name a column of its own beside {', '.join(COLUMNS)}")

    def places(self) -> dict[str, str]:
        return {"csv": absolute(self.csv)} if self.root is None else super().places()

    def load(self) -> DataSet:
        from cnntrain.data.sets.files import file_set

        table, root = self._table_and_root()
        found = _found(table, root, self.group)
        if self.group is not None and any(each.group is None for samples in found.values() for each in samples):
            raise InputError(f"{table}:1: has no column {self.group!r}, which data.group names")
        if "train" not in found and "all" not in found:
            raise InputError(f"{table}: no row has split=train")
        return file_set(self, root, found)

    def labelled(self, part: str) -> Labelled:
        from cnntrain.data.sets.files import labelled_files

        table, root = self._table_and_root()
        return labelled_files(self, root, _found(table, root, self.group), part, [])

    def _table_and_root(self) -> tuple[Path, Path]:
        table = Path(absolute(os.path.join(self.root or "", self.csv)))
        return table, table.parent if self.root is None else Path(absolute(self.root))


def _found(table: Path, root: Path, group: str | None) -> dict[str, list[Sample]]:
    """The samples by the value of their split column, or under ``all`` where there is none.

    Args:
        group: name of the column of groups, which need not be there.
    """
    from cnntrain.data.sets.files import sample

    found: dict[str, list[Sample]] = {}
    first: dict[str, str] = {}
    missing: list[str] = []
    for where, row in _rows(table, group):
        path = _below(root, row["path"], where)
        if path in first:
            raise InputError(f"{where}: {row['path']!r} is listed before, at {first[path]}")
        first[path] = where
        status = _status(root / path)
        if status is None:
            missing.append(path)
        else:
            member = row.get(group) if group is not None else None
            found.setdefault(row.get("split", "all"), []).append(sample(path, row["label"], status, member))
    if missing:
        raise InputError(f"{table}: {len(missing)} of {len(first)} files are not below {root}: {listed(missing)}")
    if not found:
        raise InputError(f"{table}: has no rows")
    return found


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


def _rows(table: Path, group: str | None) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row with its place as ``file:line``, checked."""
    line = 1
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            columns = next(reader, [])
            _check_columns(table, columns, group)
            line = reader.line_num + 1
            for fields in reader:
                where, line = f"{table}:{line}", reader.line_num + 1
                if fields:
                    yield where, _row(where, columns, fields, group)
    except UnicodeDecodeError as error:
        raise InputError(f"{table}: is not UTF-8 text ({error})") from error
    except csv.Error as error:
        raise InputError(f"{table}:{line}: {error}") from error
    except OSError as error:
        raise InputError(f"{table}: {error.strerror}; data.csv names the table, relative to data.root") from error


def _check_columns(table: Path, columns: list[str], group: str | None) -> None:
    expected = "the first line must be path,label or path,label,split"
    unknown = [column for column in columns if column not in (*COLUMNS, group)]
    if unknown:
        raise InputError(f"{table}:1: unknown columns {', '.join(map(repr, unknown))}; {expected}")
    if not {"path", "label"} <= set(columns) or len(set(columns)) < len(columns):
        raise InputError(f"{table}:1: has the columns {','.join(columns) or '(none)'}; {expected}")


def _row(where: str, columns: list[str], fields: list[str], group: str | None) -> dict[str, str]:
    if len(fields) != len(columns):
        raise InputError(f"{where}: {len(fields)} fields instead of {len(columns)}; text with a comma needs quotes")
    row = dict(zip(columns, fields, strict=True))
    for column in ("path", "label", *([group] if group in columns else [])):
        if not row[column].strip() or "\0" in row[column]:
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

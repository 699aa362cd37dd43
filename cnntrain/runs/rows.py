"""Rows that are written as they come: what was written is whole rows, whenever it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from cnntrain.core import files, plain_json, tables
from cnntrain.core.errors import InputError

ENDINGS = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
Columns = dict[str, Any]  # by name, equally long
Write = Callable[[Columns], None]


def format_of(output: str | None) -> str:
    """Which format the name of a file means, a table for other names and none."""
    return ENDINGS.get(Path(output or "").suffix.lower(), "table")


@contextmanager
def written(output: str | None, text: Callable[[Columns, bool], str]) -> Iterator[Write]:
    """Within the block rows go to a new text file, or to standard output, and are there when the call returns.

    Args:
        text: of some rows, and whether they are the first.

    Raises:
        InputError: the file is there already, or cannot be made.
        RunError: the disk is full or cannot be written.
    """
    begun = False

    def write(columns: Columns) -> None:
        nonlocal begun
        lines, begun = text(columns, not begun), True
        with files.writing(Path(output or "standard output")):
            file.write(lines.encode(errors="backslashreplace").decode())  # a name may be no text
            file.flush()

    file = sys.stdout if output is None else _new(Path(output))
    try:
        yield write
    finally:
        if output is not None:
            file.close()


@contextmanager
def parquet(output: str) -> Iterator[Write]:
    """Within the block rows go to a new Parquet file, which appears with all of them when the block ends, in whatever
    way. A matrix is a column of lists.

    Raises:
        InputError: the file is there already, or cannot be made.
        RunError: the disk is full or cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(output)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    _new(path).close()  # the name is taken, and shown to be free
    writer: Any = None

    def write(columns: Columns) -> None:
        nonlocal writer
        table = pa.table({name: _array(values) for name, values in columns.items()})
        with files.writing(path):
            writer = writer or pq.ParquetWriter(temporary, table.schema, compression="zstd")
            writer.write_table(table)

    try:
        yield write
    finally:
        try:
            with files.writing(path):
                if writer is None:
                    path.unlink()  # no rows
                else:
                    writer.close()
                    os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _array(values: Any) -> Any:
    """An Arrow array of the rows of a matrix, or of a list; of lists without a value it is one of texts."""
    import numpy as np
    import pyarrow as pa

    if isinstance(values, np.ndarray) and values.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    return pa.array(values, pa.string()) if None in values else pa.array(values)


def _new(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "x", encoding="utf-8", newline="")
    except FileExistsError as error:
        if path.parent.is_dir():
            raise InputError(f"output={path} is there already: delete it, or give another name") from error
        raise InputError(f"output={path} cannot be written: {error.filename} is a file, not a folder") from error
    except OSError as error:
        raise InputError(f"output={path} cannot be written: {error.strerror}") from error


def json_lines(columns: Columns, first: bool) -> str:
    """An object a line."""
    rows = zip(*columns.values(), strict=True)
    return "".join(f"{plain_json.text(dict(zip(columns, row, strict=True)))}\n" for row in rows)


def comma_separated(columns: Columns, first: bool) -> str:
    """With a header before the first; of a list each value has a column, numbered from 1."""
    names: list[str] = []
    flat: list[Sequence[object]] = []
    for name, values in columns.items():
        if values and isinstance(values[0], list):
            names += [f"{name}_{number}" for number in range(1, len(values[0]) + 1)]
            flat += zip(*values, strict=True)
        else:
            names.append(name)
            flat.append(values)
    text = tables.comma_separated(names, list(zip(*flat, strict=True)))
    return text if first else text.partition("\n")[2]

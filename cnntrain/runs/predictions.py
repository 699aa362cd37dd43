"""What a network answered to each sample of an evaluation: the file that every other figure can be computed from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from cnntrain.core import plain_json
from cnntrain.core.errors import InputError, first_line
from cnntrain.core.files import write_atomic

PREDICTIONS = "predictions.parquet"
FORMAT = 1
META = b"cnntrain"
AT_ONCE = 2**20  # values that are read


class Meta(TypedDict):
    format: int
    classes: list[str]
    about: dict[str, Any]


@dataclass(frozen=True)
class Predictions:
    """Attributes:
    ids: one name a sample, as `Part.ids`.
    labels: positions in `classes`, int64 [n]; where a sample has several, bool [n, classes].
    logits: floating point [n, classes].
    losses: floating point [n].
    about: plain values: ``model``, ``task``, ``part``, ``epoch``, ``checkpoint``, ``data``, ``fingerprint``, and
        ``temperature``, by which the logits are divided where other samples told one.
    """

    ids: Sequence[str]
    labels: np.ndarray
    logits: np.ndarray
    losses: np.ndarray
    classes: Sequence[str]
    about: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.labels)


def write(path: Path, predictions: Predictions) -> None:
    """Write a Parquet file with the columns ``id label loss logits``; classes and `about` are in its metadata.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    found = predictions
    columns = {"label": column(found.labels), "loss": column(found.losses), "logits": column(found.logits)}
    # half the time of reading, which a page of 1,000 classes is for the most part, and files smaller by a tenth
    split = {"logits.list.element": "BYTE_STREAM_SPLIT"}
    write_columns(path, found.ids, columns, found.classes, found.about, use_dictionary=["label"], column_encoding=split)


def write_columns(
    path: Path,
    ids: Sequence[str],
    columns: Mapping[str, Any],
    classes: Sequence[str],
    about: Mapping[str, Any],
    **how: Any,
) -> None:
    """Write a Parquet file with the columns ``id`` and these; classes and `about` are in its metadata.

    Args:
        columns: of Arrow, in their order.
        how: what else pyarrow is given.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"id": pa.array(list(ids), pa.string()), **columns}
    meta = Meta(format=FORMAT, classes=list(classes), about=dict(about))
    schema = pa.schema([pa.field(name, each.type, nullable=False) for name, each in columns.items()])
    table = pa.table(columns, schema.with_metadata({META: plain_json.text(meta).encode()}))
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd", **how)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, memoryview(buffer.getvalue()))


def column(values: np.ndarray) -> Any:
    """An Arrow array of a vector, or of the rows of a matrix."""
    import pyarrow as pa

    found = pa.array(values.reshape(-1))
    if values.ndim == 1:
        return found
    element = pa.field("element", found.type, nullable=False)
    return pa.FixedSizeListArray.from_arrays(found, type=pa.list_(element, values.shape[1]))


def read(path: Path) -> Predictions:
    """What `write` wrote.

    Raises:
        InputError: the file is missing, damaged, or not of ours.
    """
    with opened(path) as (file, meta):
        table = file.read(["id", "label", "loss"])
        labels, loss = (array(table[name].combine_chunks()) for name in ("label", "loss"))
        arrays = labels, _matrix(file, "logits"), loss
        ids = table["id"].to_pylist()
    found = Predictions(ids, *arrays, meta["classes"], meta["about"])
    _check(path, found)
    return found


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Meta]]:
    """A Parquet file that `write_columns` wrote, and what is in its metadata.

    Raises:
        InputError: the file is missing, damaged, or not of ours, which may come out while it is read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise InputError(f"{path} does not exist: cnntrain eval writes {path.name}, and so does a finished run")
    try:
        with pq.ParquetFile(path) as file:
            meta = plain_json.read((file.schema_arrow.metadata or {}).get(META, b""), Meta)
            if meta["format"] != FORMAT:
                raise InputError(f"{path} is of format {meta['format']}, and this cnntrain reads {FORMAT}")
            yield file, meta
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is damaged, or none of cnntrain's predictions: {first_line(error)}") from error


def array(column: Any) -> np.ndarray:
    """[n], or [n, width] of lists of one length, of an Arrow array.

    Raises:
        ValueError: a value is missing.
    """
    import pyarrow as pa

    if column.null_count:
        raise ValueError("values are missing")
    if not pa.types.is_fixed_size_list(column.type):
        if pa.types.is_boolean(column.type):  # which are bits
            return np.from_dlpack(column.cast(pa.uint8())).astype(bool)
        return np.from_dlpack(column)  # to_numpy would import pandas, which takes a second
    return array(column.flatten()).reshape(len(column), column.type.list_size)


def _matrix(file: Any, name: str) -> np.ndarray:
    """[n, width] of a column of lists, some rows at a time: a table of all of them beside the array takes longer to lay
    out than to read.

    Raises:
        ValueError: it has no lists of one length, or a value is missing.
    """
    import pyarrow as pa

    kind, start = file.schema_arrow.field(name).type, 0
    if not pa.types.is_fixed_size_list(kind):
        raise ValueError(f"{name} has no lists of one length")
    found = np.empty((file.metadata.num_rows, kind.list_size), kind.value_type.to_pandas_dtype())
    for batch in file.iter_batches(max(1, AT_ONCE // kind.list_size), columns=[name]):
        found[start : start + len(batch)] = array(batch.column(0))
        start += len(batch)
    return found


def _check(path: Path, found: Predictions) -> None:
    classes, labels, numbers = len(found.classes), found.labels, "iub"
    fits = found.logits.shape == (len(labels), classes) and found.logits.dtype.kind == "f" == found.losses.dtype.kind
    if labels.ndim == 1 and fits and labels.dtype.kind in numbers:
        fits = not len(labels) or bool(labels.min() >= 0 and labels.max() < classes)
    elif labels.shape != found.logits.shape:
        fits = False
    if not fits:
        raise InputError(f"{path} is damaged: its columns do not go with its {classes} classes")

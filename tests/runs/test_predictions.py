"""A file of predictions gives back what was written, and says what is wrong with one that is not whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cnntrain.core.errors import InputError
from cnntrain.runs.predictions import META, Predictions, read, write

SAMPLES, CLASSES = 5, ["cat", "dog", "emu"]


def made(kind: type[np.floating] = np.float32) -> Predictions:
    draws = np.random.default_rng(0)
    logits = draws.normal(size=(SAMPLES, len(CLASSES))).astype(kind)
    ids = [f"test/{number}é.png" for number in range(SAMPLES)]
    labels = draws.integers(len(CLASSES), size=SAMPLES)
    return Predictions(ids, labels, logits, -logits[:, 0], CLASSES, {"model": "lenet5", "data": {"name": "digits"}})


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("several", [False, True])
def test_what_is_written_is_read(kind: type[np.floating], several: bool, tmp_path: Path) -> None:
    whole = made(kind)
    if several:
        whole = replace(whole, labels=np.eye(len(CLASSES), dtype=bool)[whole.labels])
    write(tmp_path / "test" / "predictions.parquet", whole)
    found = read(tmp_path / "test" / "predictions.parquet")
    for name in ("labels", "logits", "losses"):
        ours, theirs = getattr(whole, name), getattr(found, name)
        assert (theirs.dtype, theirs.tolist()) == (ours.dtype, ours.tolist())
    assert (found.ids, found.classes, found.about) == (whole.ids, whole.classes, whole.about)


def test_other_programs_read_the_columns(tmp_path: Path) -> None:
    whole = made()
    write(tmp_path / "p.parquet", whole)
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.column_names == ["id", "label", "loss", "logits"]
    assert np.allclose(np.array(table["logits"].to_pylist()), whole.logits)
    assert table["label"].to_pylist() == whole.labels.tolist()


def test_no_samples_are_read_too(tmp_path: Path) -> None:
    whole = made()
    none = replace(whole, ids=[], labels=whole.labels[:0], logits=whole.logits[:0], losses=whole.losses[:0])
    write(tmp_path / "p.parquet", none)
    assert read(tmp_path / "p.parquet").logits.shape == (0, len(CLASSES))


def changed(path: Path, what: str) -> None:
    """Write a file that is wrong in one way."""
    whole = made()
    write(path, whole)
    table = pq.read_table(path)
    meta = table.schema.metadata
    if what == "cut short":
        path.write_bytes(path.read_bytes()[:-40])
        return
    if what == "another's":
        table = table.replace_schema_metadata(None)
    elif what == "a label too large":
        table = table.set_column(1, "label", pa.array([7] * SAMPLES))
    elif what == "a column less":
        table = table.drop_columns(["loss"])
    elif what == "a value missing":
        table = table.set_column(2, "loss", pa.array([None, *whole.losses.tolist()[1:]]))
    elif what == "a class too many":
        table = table.replace_schema_metadata({META: meta[META].replace(b'"emu"', b'"emu", "fox"')})
    elif what == "a newer format":
        table = table.replace_schema_metadata({META: meta[META].replace(b'"format": 1', b'"format": 2')})
    pq.write_table(table, path)


@pytest.mark.parametrize(
    "what",
    ["cut short", "another's", "a label too large", "a column less", "a value missing", "a class too many",
     "a newer format"],
)  # fmt: skip
def test_a_damaged_file_is_named(what: str, tmp_path: Path) -> None:
    changed(tmp_path / "p.parquet", what)
    with pytest.raises(InputError, match=r"p\.parquet is"):
        read(tmp_path / "p.parquet")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.parquet does not exist: cnntrain eval writes"):
        read(tmp_path / "none.parquet")

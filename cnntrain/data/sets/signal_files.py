"""Signals in files: tables whose rows are signals, and arrays."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from cnntrain.core.errors import InputError
from cnntrain.data.sets.bands import SUFFIX, of_npy

DELIMITERS = {".csv": ",", ".tsv": "\t"}
LABELS = "_labels"  # behind the name of an array's file: that of its labels


class Signals(NamedTuple):
    """Attributes:
    values: float32 [n, channels, length].
    labels: of each its text; None where there are none.
    """

    values: np.ndarray
    labels: list[str] | None


def read(path: Path, labelled: bool) -> Signals:
    """A table, .csv or .tsv, of a signal a row, or an array .npy [n, length] or [n, channels, length] with labels
    beside it.

    Args:
        labelled: whether a row begins with its label, and an array has a file of them; else there is none.

    Raises:
        InputError: it is not there, is damaged, or holds something else; the message names the line.
    """
    try:
        if path.suffix.lower() in DELIMITERS:
            return _table(path, labelled)
        if path.suffix.lower() != SUFFIX:
            raise InputError(f"{path}: signals are read from .csv, .tsv and .npy files")
        found = _array(path, path.name)
        return Signals(found, _labels(path, len(found)) if labelled else None)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def _table(path: Path, labelled: bool) -> Signals:
    first = int(labelled)
    rows: list[list[float]] = []
    labels: list[str] = []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=DELIMITERS[path.suffix.lower()], strict=True)
            for number, cells in enumerate(reader):
                if not cells or (number == 0 and _is_header(cells[first:])):
                    continue
                where = f"{path}:{reader.line_num}"
                rows.append(_numbers(cells[first:], where))
                if len(rows[-1]) != len(rows[0]):
                    raise InputError(
                        f"{where}: {len(rows[-1])} values, and the signals before have {len(rows[0])}: they must have "
                        "one length"
                    )
                labels += [_label(cells[0], where)] if labelled else []
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is not a table in UTF-8 text: {error}") from error
    if not rows:
        raise InputError(f"{path}: has no signals")
    return Signals(_checked(np.array(rows, dtype=np.float32)[:, None], str(path)), labels if labelled else None)


def _is_header(cells: Sequence[str]) -> bool:
    """Whether no cell is a number."""
    return not any(map(_is_number, cells))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(cells: Sequence[str], where: str) -> list[float]:
    try:
        return [float(each) for each in cells]
    except ValueError as error:
        raise InputError(
            f"{where}: {error}; a row is a signal's values, where it is to be learned from behind its label"
        ) from error


def _label(cell: str, where: str) -> str:
    if not cell.strip():
        raise InputError(f"{where}: the label, which is the first column, is empty")
    return cell.strip()


def _array(path: Path, name: str) -> np.ndarray:
    try:
        values = of_npy(str(path), None)
    except ValueError as error:
        raise InputError(f"{path}: cannot be read as an array of numbers: {error}") from error
    if values.ndim not in (2, 3) or values.dtype.kind not in "fiu" or not values.size:
        raise InputError(
            f"{path}: has the shape {list(values.shape)} of {values.dtype}, and signals are numbers of the "
            "shape [n, length] or [n, channels, length]"
        )
    return _checked((values if values.ndim == 3 else values[:, None]).astype(np.float32), str(path))


def _checked(values: np.ndarray, path: str) -> np.ndarray:
    wrong = np.flatnonzero(~np.isfinite(values).all((1, 2)))
    if len(wrong):
        raise InputError(f"{path}: signal {wrong[0] + 1:,} has values that are missing or no finite float32 numbers")
    return values


def _labels(path: Path, count: int) -> list[str]:
    place = path.with_name(f"{path.stem}{LABELS}{SUFFIX}")
    if not place.is_file():
        raise InputError(f"{path}: its labels must be beside it, in {place.name}")
    try:
        values = of_npy(str(place), None)
    except ValueError as error:
        raise InputError(f"{place}: cannot be read as an array of labels: {error}") from error
    if values.shape != (count,) or values.dtype.kind not in "iuU":
        raise InputError(f"{place}: must hold {count:,} whole numbers or texts, a label for each signal")
    return [str(each) for each in values.tolist()]


class FileSignals:
    """The signals of a file, without labels.

    Attributes:
        values: float32 [n, channels, length].
    """

    def __init__(self, values: np.ndarray):
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.values[index].copy())


def given(path: str, shape: Sequence[int]) -> np.ndarray:
    """Signals to be judged: a table or an array as `read` takes them without labels, or an array of one signal.

    Args:
        shape: channels and length that a network takes.

    Raises:
        InputError: as `read`, or they have another shape; a table's rows may not begin with a label.
    """
    place = Path(path)
    if not os.path.isfile(place):
        raise InputError(f"images={path} does not exist: give a .csv, .tsv or .npy file of signals")
    values = _alone(place, shape)
    values = read(place, labelled=False).values if values is None else values
    if values.shape[1:] != tuple(shape):
        raise InputError(
            f"images={path}: signals of {values.shape[1]} x {values.shape[2]} (channels x length), and the network "
            f"takes {shape[0]} x {shape[1]}; a table to be judged has no labels"
        )
    return values


def _alone(place: Path, shape: Sequence[int]) -> np.ndarray | None:
    """An array [length] or [channels, length] as [1, channels, length]; None of another."""
    if place.suffix.lower() != SUFFIX:
        return None
    try:
        values = of_npy(str(place), None)
    except (ValueError, OSError):
        return None  # which `read` says
    is_one = values.shape == tuple(shape) or (shape[0] == 1 and values.shape == tuple(shape[1:]))
    if not is_one or values.dtype.kind not in "fiu":
        return None
    return _checked(np.asarray(values, dtype=np.float32).reshape(1, *shape), str(place))

"""Images without labels: files that are named one by one, and what is handed over from Python."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cnntrain.core.errors import InputError
from cnntrain.data.base import Reading
from cnntrain.data.sets.bands import DTYPES
from cnntrain.data.sets.dataset import Images, Part
from cnntrain.data.sets.decode import Decoded, file_extensions
from cnntrain.data.sets.given_sides import sample

STDIN = "-"
PATH = "path"  # the column of a table


def names(images: str) -> list[str]:
    """The files that are asked for, in order; whether each is an image shows when it is read.

    Args:
        images: a file, a folder (all images below it), a pattern such as ``photos/*.jpg`` or ``photos/**/*.png``, a
            table ``*.csv`` with a column ``path``, relative to the table, or ``-`` for lines of standard input.

    Raises:
        InputError: there are none, or the folder or the table cannot be read.
    """
    if images == STDIN:
        found = [line for line in (each.rstrip("\r\n") for each in sys.stdin) if line]
    elif os.path.isdir(images):
        found = list(below(images, "images"))
    elif images.lower().endswith(".csv"):
        found = list(_listed(Path(images)))
    elif has_magic(images) and not os.path.exists(images):
        found = sorted(each for each in glob(images, recursive=True) if not os.path.isdir(each))
    elif os.path.exists(images):
        found = [images]
    else:
        raise InputError(f"images={images} does not exist: give a file, a folder, a pattern, a table *.csv or -")
    if not found:
        raise InputError(f"images={images}: no images are there")
    return found


def below(folder: str, key: str) -> Iterator[str]:
    """The images in a folder and below it, but for those that are hidden or behind a link to a folder.

    Args:
        key: that names the folder.

    Raises:
        InputError: a folder cannot be read.
    """

    def fail(error: OSError) -> None:
        raise InputError(f"{key}={folder}: {error.filename}: {error.strerror}") from error

    for place, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for each in sorted(files):
            if not each.startswith(".") and os.path.splitext(each)[1].lower() in file_extensions():
                yield os.path.join(place, each)


def _listed(table: Path) -> Iterator[str]:
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, strict=True)
            if PATH not in (rows.fieldnames or ()):
                raise InputError(f"images={table}: the first line must name the columns, and one of them must be path")
            for row in rows:
                if not row[PATH]:
                    raise InputError(f"images={table}:{rows.line_num}: the path is empty")
                yield os.path.join(table.parent, row[PATH])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"images={table}: is not a table in UTF-8 text: {error}") from error
    except OSError as error:
        raise InputError(f"images={table}: {error.strerror}") from error


class GivenImages(Decoded):
    """Samples that are handed over from Python; see `given_sides` for what they may be.

    Args:
        shape: of what a network sees.
    """

    travels = False

    def __init__(self, images: Sequence[Any], how: Reading, shape: Sequence[int]):
        super().__init__(how)
        self.images = images
        self.shape = shape

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return sample(self.images[index], self.how, self.shape)


class Unlabelled(Part):
    """Images of which each has for its target why it cannot be read, empty where it can; a black one stands for it."""

    def __init__(self, images: Images, shape: Sequence[int], depth: int = 8):
        """Args:
        shape: of what the network is given.
        """
        super().__init__(images, np.full(len(images), -1, dtype=np.int64), [])
        self.shape = shape
        self.dtype = DTYPES[depth]

    def sample(self, position: int) -> tuple[Any, Any]:
        try:
            return self.images[position], ""
        except InputError as error:
            return torch.zeros(*self.shape, dtype=self.dtype), str(error)

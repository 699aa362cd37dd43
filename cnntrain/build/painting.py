"""Masks of images that have none, by a trained network, painted over what it sees of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnntrain.build.predicting import files
from cnntrain.build.trained import Trained
from cnntrain.core.errors import InputError
from cnntrain.core.files import write_atomic, writing
from cnntrain.core.words import CELL, printable
from cnntrain.study.evaluation.palette import indexed, overlay


class Painter:
    """Writes for each image ``<name>.png``, what the network sees of it under its mask, and ``<name>-mask.png``, the
    mask, in a new folder.

    Raises:
        InputError: the folder is there already.
    """

    def __init__(self, found: Trained, folder: Path):
        if folder.exists():
            raise InputError(f"output={folder} is there already: delete it, or give another name")
        with writing(folder):
            folder.mkdir(parents=True)
        self.found, self.folder = found, folder
        self._taken: Counter[str] = Counter()

    def answers(self, names: Sequence[str]) -> Iterator[tuple[Tensor, list[str]]]:
        """A batch at a time what the network sees, and behind its channels the class of each pixel, [images, channels +
        1, height, width]; and for each file why it cannot be read, empty where it can."""

        def both(images: Tensor) -> Tensor:
            classes = self.found.probabilities(images).argmax(1, keepdim=True)
            return torch.cat([self.found.pictures(images), classes.float()], 1)

        return self.found.through(both, files(names)(self.found))

    def columns(self, names: Sequence[str], rows: Tensor) -> dict[str, Any]:
        """Write the pictures of some images; their rows: of each class that it has its share of the pixels, the largest
        first."""
        columns: dict[str, Any] = {"image": [*names], "overlay": [], "class": [], "share": []}
        for name, row in zip(names, rows.numpy(), strict=True):
            mask = row[-1].astype(np.uint8)
            path, width = self.folder / f"{self._free(Path(name).stem)}.png", len(self.found.classes)
            write_atomic(path, overlay(row[:-1].transpose(1, 2, 0), mask, width))
            write_atomic(path.with_name(f"{path.stem}-mask.png"), indexed(mask, width))
            counts = np.bincount(mask.ravel(), minlength=width)
            order = [each for each in np.argsort(-counts, kind="stable").tolist() if counts[each]]
            columns["overlay"].append(str(path))
            columns["class"].append([self.found.classes[each] for each in order])
            columns["share"].append([float(counts[each] / mask.size) for each in order])
        return columns

    def _free(self, stem: str) -> str:
        self._taken[stem] += 1
        return stem if self._taken[stem] == 1 else f"{stem}-{self._taken[stem]}"


def lines(columns: dict[str, Any], first: bool) -> str:
    """For people."""
    text = ""
    for path, names, shares in zip(columns["overlay"], columns["class"], columns["share"], strict=True):
        words = (f"{printable(name, CELL)} {share:.1%}" for name, share in zip(names, shares, strict=True))
        text += f"{printable(path)}  {', '.join(words)}\n"
    return text

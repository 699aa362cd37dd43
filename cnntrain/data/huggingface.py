"""Image sets of the Hugging Face hub, or in a local folder of its formats, through the datasets package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnntrain.core.errors import InputError
from cnntrain.core.limits import Count, Place
from cnntrain.core.paths import absolute
from cnntrain.data.base import Data

if TYPE_CHECKING:
    from cnntrain.data.sets.columns import Found
    from cnntrain.data.sets.dataset import DataSet, Labelled

HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True)
class Huggingface(Data):
    """Tables with a column of images and one of labels, which the package lays down as Arrow files and maps.

    They are read row by row in any order, as files are; `root` is where the package lays them down.
    """

    divides = True
    of_files = True

    path: Place | None  # owner/name on the hub, or a local folder
    config_name: str | None  # which of a set's configurations; None: its only or default one
    revision: str | None  # on the hub: a commit, tag or branch; None: the newest
    image_column: str | None  # None: the only one of images
    label_column: str | None  # None: the only one of classes, or else the one that is called label
    train_split: str | None  # None: by its name
    val_split: str | None
    test_split: str | None
    shuffle_window: Count | None  # images that are in random order among one another; None: all

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path is None:
            raise ValueError("path is required: data.path=<owner/name on the hub, or a folder>")

    @property
    def is_local(self) -> bool:
        return Path(absolute(self._path)).is_dir()

    @property
    def _path(self) -> str:
        assert self.path is not None
        return self.path

    @property
    def window(self) -> int | None:
        return self.shuffle_window

    def places(self) -> dict[str, str]:
        return {**super().places(), **({"path": absolute(self._path)} if self.is_local else {})}

    def load(self) -> DataSet:
        from cnntrain.data.sets.files import file_set

        found = self._found()
        if "train" not in found.samples and "all" not in found.samples:
            raise InputError(f"{self.path}: has {' and '.join(found.samples)} but no train part: see data.train_split")
        return file_set(self, self._path, found.samples, found.notes, found.show, found.order)

    def labelled(self, part: str) -> Labelled:
        from cnntrain.data.sets.files import labelled_files

        found = self._found()
        return labelled_files(self, self._path, found.samples, part, found.notes, found.show, found.order)

    def _found(self) -> Found:
        from cnntrain.data.sets.columns import find
        from cnntrain.data.sets.hub import tables

        if not self.is_local and not HUB_NAME.fullmatch(self._path):
            raise InputError(f"data.path={self.path} must be owner/name, as on the hub, or a folder that is there")
        if self.is_local and self.revision is not None:
            raise InputError(f"data.revision={self.revision} means nothing for a folder, data.path={self.path}")
        splits = {"train": self.train_split, "val": self.val_split, "test": self.test_split}
        sets, roots = tables(
            self, absolute(self._path) if self.is_local else self._path, self.config_name, self.revision
        )
        return find(self, sets, roots, splits, (self.image_column, self.label_column))

"""Images in tar files, each beside its label: the shards of the webdataset package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnntrain.core.errors import InputError
from cnntrain.core.limits import Count, Place
from cnntrain.core.paths import absolute, is_below
from cnntrain.data.base import Data
from cnntrain.data.sets.checks import refuse_download

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet, Labelled
    from cnntrain.data.sets.shards import Found

SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")
EXTENSION = re.compile(r"[^./\s][^/\s]*")


@dataclass(frozen=True)
class Webdataset(Data):
    """Samples are members of one key, as in ``0001.jpg`` and ``0001.cls``, that follow one another in a shard.

    Where each member lies is found out once and kept, so that images are read at their offsets in any order, as files
    are. Only the image and the label of a sample are read.
    """

    divides = True
    of_files = True

    train_shards: (
        list[str] | None
    )  # paths below root, with {000..099} or *; null, of all three: by the names of the shards
    val_shards: list[str] | None
    test_shards: list[str] | None
    image_extension: str | None  # of the member that is the image, such as jpg; None: the one that is an image's
    label_extension: str  # of the member that is the label, such as cls, txt or json
    label_key: str | None  # of a JSON object that is the label; with dots, of objects in it
    class_names: Place | None  # a file with the names of classes whose labels are numbers, relative to root
    shuffle_window: Count | None  # images that are in random order among one another; None: all

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_download(self)
        if self.root is None:
            raise ValueError("root is required: data.root=<folder with the shards, such as train-000000.tar>")
        for key in ("train_shards", "val_shards", "test_shards"):
            for pattern in getattr(self, key) or ():
                _check_pattern(key, pattern)
        for key in ("image_extension", "label_extension"):
            value = getattr(self, key)
            if value is not None and not EXTENSION.fullmatch(value):
                raise ValueError(f"{key}={value} must be an extension without its dot, such as jpg, cls or seg.png")
        if (self.label_key is not None) != (self.label_extension.rpartition(".")[2] == "json"):
            raise ValueError(
                f"label_key={self.label_key} does not go with label_extension={self.label_extension}: a label in a "
                "json member needs a key, and no other has one"
            )

    @property
    def window(self) -> int | None:
        return self.shuffle_window

    def load(self) -> DataSet:
        from cnntrain.data.sets.files import file_set

        found = self._found()
        if "train" not in found.samples and "all" not in found.samples:
            raise InputError(f"{self._folder()}: has shards of {' and of '.join(found.samples)}, but none of train")
        return file_set(self, self._folder(), found.samples, found.notes, found.show, found.order)

    def labelled(self, part: str) -> Labelled:
        from cnntrain.data.sets.files import labelled_files

        found = self._found()
        return labelled_files(self, self._folder(), found.samples, part, found.notes, found.show, found.order)

    def _found(self) -> Found:
        from cnntrain.data.sets.members import Wanted
        from cnntrain.data.sets.shards import find

        patterns = {"train": self.train_shards, "val": self.val_shards, "test": self.test_shards}
        wanted = Wanted(self.image_extension, self.label_extension.lower(), self.label_key)
        return find(self, self._folder(), patterns, wanted, self.class_names)

    def _folder(self) -> Path:
        assert self.root is not None
        return Path(absolute(self.root))


def _check_pattern(key: str, pattern: str) -> None:
    """Raise ValueError where it names anything but files below the root: to webdataset ``pipe:`` is a command."""
    if SCHEME.match(pattern):
        raise ValueError(
            f"{key}={pattern} is no path: only files below data.root are read, no URL and no command; download the "
            "shards first"
        )
    if not is_below(pattern):
        raise ValueError(f"{key}={pattern} must be a path below data.root, such as 'train-{{000000..000099}}.tar'")

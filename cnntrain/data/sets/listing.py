"""The files of a data set as columns: what is known of each before it is read."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from cnntrain.core.strings import Strings


class Sample(NamedTuple):
    """An image file.

    Attributes:
        id: its path below the root, with forward slashes.
        label: its class's name; of a source of several labels their names, `joined`.
        size: in bytes.
        modified: when its content last changed, in nanoseconds of Unix time.
        file: device and inode, which tell whether two paths lead to one file.
        group: its value in a table's column of groups.
    """

    id: str
    label: str
    size: int
    modified: int
    file: tuple[int, int]
    group: str | None = None


def sample(id_: str, label: str, status: os.stat_result, group: str | None = None) -> Sample:
    return Sample(id_, label, status.st_size, status.st_mtime_ns, (status.st_dev, status.st_ino), group)


def absent(id_: str, label: str, group: str | None = None) -> Sample:
    """A file that is listed and not there, to be found so when images are read (``data.on_bad=skip``)."""
    return Sample(id_, label, 0, 0, (0, 0), group)


@dataclass(frozen=True)
class Listing:
    """Samples, each attribute of `Sample` an array [samples].

    Attributes:
        names: of labels; some may stand for no sample, or twice.
        codes: int32, positions in `names`.
        sizes, modified: int64.
        files: uint64 [samples, 2].
        groups: None where there are none.
    """

    ids: Strings
    names: tuple[str, ...]
    codes: np.ndarray
    sizes: np.ndarray
    modified: np.ndarray
    files: np.ndarray
    groups: Strings | None

    @classmethod
    def of(cls, samples: Listing | Iterable[Sample]) -> Listing:
        """Those of an iterable, of which none is held; all have a group, or none has."""
        if isinstance(samples, Listing):
            return samples
        codes, sizes, modified, files = array("i"), array("q"), array("q"), array("Q")
        names: dict[str, int] = {}
        groups: list[str] = []

        def ids() -> Iterator[str]:
            for each in samples:
                codes.append(names.setdefault(each.label, len(names)))
                sizes.append(each.size)
                modified.append(each.modified)
                files.extend(each.file)
                if each.group is not None:
                    groups.append(each.group)
                yield each.id

        found = Strings.of(ids())
        assert len(groups) in (0, len(found)), "some samples have a group and others none"
        return cls(
            found,
            tuple(names),
            np.array(codes),
            np.array(sizes),
            np.array(modified),
            np.array(files).reshape(-1, 2),
            Strings.of(groups) if groups else None,
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labels(self) -> Iterator[str]:
        """Of each sample."""
        return (self.names[code] for code in self.codes)

    @property
    def used(self) -> set[str]:
        """The labels that samples have."""
        return {self.names[code] for code in np.unique(self.codes)}

    def take(self, index: np.ndarray) -> Listing:
        """The samples at positions, int64 [samples]."""
        arrays = {key: getattr(self, key)[index] for key in ("codes", "sizes", "modified", "files")}
        groups = None if self.groups is None else self.groups.take(index)
        return replace(self, ids=self.ids.take(index), groups=groups, **arrays)

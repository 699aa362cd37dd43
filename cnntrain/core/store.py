"""Tensors kept between epochs and between runs: in RAM, or in files that are mapped into memory.

An entry is a folder named by its key: a file for each tensor of the cut, and ``meta.json`` with their digests.
It is filled under another name and renamed when it is whole, so a reader finds all of it or nothing, and of two runs
that fill it at the same time the first to end leaves it to both. A mapped file stays readable when it is deleted.
"""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from cnntrain.core import cgroups, plain_json
from cnntrain.core.files import sha256_of
from cnntrain.core.lock import LOCK, in_use
from cnntrain.core.paths import cache_home

if TYPE_CHECKING:
    import torch
    from torch import Tensor

META = "meta.json"
STARTED_SECONDS = 60  # after which a folder that no run holds was left by one that was killed
SHARED_MEMORY = Path(f"/dev/shm/cnntrain-{os.getuid()}")
# only folders named so are ever deleted: a folder that a user names may hold other things
KEY = re.compile("[0-9a-f]{64}")
UNFINISHED_KEY = re.compile(rf"{KEY.pattern}\.[0-9a-f]+-[0-9]+\.tmp")


class About(TypedDict):
    """What is kept: of a network the values at a cut, after so many views of each image; without one the images."""

    model: str | None
    data: str
    part: str
    cut: list[str]
    views: int


class Meta(TypedDict):
    """What an entry says of itself."""

    about: About
    bytes: int
    created: float
    sha256: list[str]


@dataclass(frozen=True)
class Entry:
    """What is kept of one part.

    Attributes:
        key: hex digest of everything that they depend on.
        shapes: of each tensor, the rows included.
        about: plain values for people: which model, data and part.
    """

    key: str
    shapes: Sequence[tuple[int, ...]]
    dtypes: Sequence[torch.dtype]
    about: About

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(self._sizes())

    def _sizes(self) -> list[int]:
        pairs = zip(self.shapes, self.dtypes, strict=True)
        return [prod(shape) * dtype.itemsize for shape, dtype in pairs]

    def in_memory(self) -> list[Tensor]:
        """Uninitialised tensors of this process alone."""
        import torch

        return [torch.empty(shape, dtype=dtype) for shape, dtype in zip(self.shapes, self.dtypes, strict=True)]

    def unfinished(self, parent: Path, token: str, node: int) -> Path:
        """Where a run fills it: a name of this run and machine alone."""
        return parent / f"{self.key}.{token}-{node}.tmp"

    def make_files(self, folder: Path) -> None:
        """Reserve the files in `folder`, in full: writing to a mapped file on a full disk would kill the process.

        Raises:
            OSError: the disk has not that much room; nothing is left behind.
        """
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for path, size in zip(self._files(folder), self._sizes(), strict=True):
                with open(path, "wb") as file:
                    os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            shutil.rmtree(folder)
            raise

    def mapped(self, folder: Path, fill: bool = False) -> list[Tensor]:
        """The tensors in a folder's files.

        Args:
            fill: what is written to the tensors is written to the files; else these are only read.
        """
        import torch

        return [
            torch.from_file(str(path), shared=fill, size=prod(shape), dtype=dtype).view(shape)
            for path, shape, dtype in zip(self._files(folder), self.shapes, self.dtypes, strict=True)
        ]

    def is_in(self, root: Path) -> bool:
        """Whether there is a finished entry under `root`, whole or damaged."""
        return (root / self.key / META).is_file()

    def is_whole(self, root: Path) -> bool:
        """Whether the entry under `root` is there, all of it as it was written. A damaged one is deleted."""
        folder = root / self.key
        if not folder.exists():
            return False
        meta, files = read_meta(folder), self._files(folder)
        sizes = [path.stat().st_size if path.is_file() else None for path in files]
        if meta is None or sizes != self._sizes() or meta["sha256"] != [sha256_of(path) for path in files]:
            self.remove(root)
            return False
        with suppress(OSError):  # another user's, or on a read-only disk
            os.utime(folder / META)  # when it was last used
        return True

    def remove(self, root: Path) -> None:
        """Delete the entry under `root`."""
        shutil.rmtree(root / self.key, ignore_errors=True)  # what cannot be deleted is filled anew and not published

    def publish(self, unfinished: Path, root: Path) -> None:
        """Give a filled folder its name; where another run was faster, its entry stays and this one goes.

        Raises:
            OSError: the disk cannot be written.
        """
        for path in self._files(unfinished):
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        digests = [sha256_of(path) for path in self._files(unfinished)]
        meta = {"about": self.about, "bytes": self.size, "created": time.time(), "sha256": digests}
        (unfinished / META).write_text(plain_json.text(meta), encoding="utf-8")
        (unfinished / LOCK).unlink(missing_ok=True)
        try:
            unfinished.rename(root / self.key)
        except OSError:
            shutil.rmtree(unfinished)
            if not (root / self.key).exists():
                raise

    def _files(self, folder: Path) -> list[Path]:
        return [folder / f"{number}.bin" for number in range(len(self.shapes))]


def once(entry: Entry, root: Path | None, make: Callable[[], Sequence[Tensor]]) -> list[Tensor]:
    """The tensors of an entry that is small: those on disk, else what `make` returns, which is left there.

    Args:
        root: None: nothing is read or left. What cannot be left is made anew the next time.
    """
    if root is not None and entry.is_whole(root):
        return [each.clone() for each in entry.mapped(root / entry.key)]
    made = list(make())
    if root is not None:
        folder = entry.unfinished(root, uuid.uuid4().hex[:12], 0)
        with suppress(OSError):
            entry.make_files(folder)
            for kept, each in zip(entry.mapped(folder, fill=True), made, strict=True):
                kept.copy_(each)
            entry.publish(folder, root)
    return made


def root(folder: str | None, kind: str) -> Path:
    """Where entries are: `folder`, or by default that of their kind in the user's cache folder."""
    return cache_home() / kind if folder is None else Path(folder).absolute()


def sweep(root: Path) -> tuple[int, int]:
    """Delete what is no whole entry and no run is filling; returns how many folders and bytes there were."""
    found = list(remains(root))
    for folder, _ in found:
        shutil.rmtree(folder, ignore_errors=True)
    return len(found), sum(size for _, size in found)


def remains(root: Path) -> Iterator[tuple[Path, int]]:
    """What killed runs left unfinished, and entries whose ``meta.json`` is damaged; with their bytes."""
    for folder in [*_folders(root, UNFINISHED_KEY), *_folders(root, KEY)]:
        with suppress(FileNotFoundError):  # its run has just given it its name, or another has deleted it
            unfinished = UNFINISHED_KEY.fullmatch(folder.name) is not None
            young = time.time() - folder.stat().st_mtime < STARTED_SECONDS
            if (young or in_use(folder)) if unfinished else read_meta(folder) is not None:
                continue
            yield folder, sum(path.stat().st_size for path in folder.iterdir())


def entries(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The finished entries: the folder, and what its ``meta.json`` says and when it was last used, in Unix seconds."""
    for folder in _folders(root, KEY):
        meta = read_meta(folder)
        with suppress(FileNotFoundError):  # another process has just deleted it
            if meta is not None:
                yield folder, {**meta, "used": (folder / META).stat().st_mtime}


def by_use(root: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The finished entries, the least recently used first."""
    return sorted(entries(root), key=lambda entry: entry[1]["used"])


def make_room(root: Path, needed: int, budget: int, keep: Collection[str]) -> tuple[int, int]:
    """Delete entries, the least recently used first, until with `needed` bytes more there are at most `budget`.

    A run that has mapped one goes on reading it.

    Args:
        keep: keys of entries that stay.

    Returns:
        How many entries and bytes went.
    """
    found = by_use(root)
    excess = sum(meta["bytes"] for _, meta in found) + needed - budget
    count = size = 0
    for folder, meta in found:
        if size >= excess:
            break
        if folder.name not in keep:
            shutil.rmtree(folder, ignore_errors=True)
            count, size = count + 1, size + meta["bytes"]
    return count, size


def _folders(root: Path, name: re.Pattern[str]) -> list[Path]:
    return sorted(folder for folder in root.glob("*") if name.fullmatch(folder.name))


def read_meta(folder: Path) -> Meta | None:
    """What an entry says of itself; None for what is no whole entry."""
    try:
        return plain_json.read((folder / META).read_bytes(), Meta)
    except (OSError, ValueError):
        return None


def free_memory(shared: bool) -> int:
    """Bytes of RAM that can be had without swapping, within this process's cgroups; or of what processes share."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    within = cgroups.free_memory()
    free = free if within is None else min(free, within)
    return min(free, free_disk(SHARED_MEMORY)) if shared else free


def free_disk(folder: Path) -> int:
    """Bytes free where `folder` is, or would be made."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free

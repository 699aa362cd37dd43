"""Activations kept between epochs and between runs: in RAM, or in files that are mapped into memory.

An entry is a folder named by its key: a file for each tensor of the cut, and ``meta.json`` with their digests.
It is filled under another name and renamed when it is whole, so a reader finds all of it or nothing, and of two runs
that fill it at the same time the first to end leaves it to both. A mapped file stays readable when it is deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.paths import cache_home

if TYPE_CHECKING:
    import torch
    from torch import Tensor

META = "meta.json"
UNFINISHED = ".tmp"
ABANDONED_SECONDS = 24 * 3600
SHARED_MEMORY = Path("/dev/shm/cnntrain")


@dataclass(frozen=True)
class Entry:
    """What the activations of one part are.

    Attributes:
        key: hex digest of everything that they depend on.
        shapes: of each tensor of the cut, the rows included.
        about: plain values for people: which model, data and part.
    """

    key: str
    shapes: Sequence[tuple[int, ...]]
    dtypes: Sequence[torch.dtype]
    about: dict[str, Any]

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

    def make_files(self, folder: Path) -> None:
        """Reserve the files in `folder`, in full: writing to a mapped file on a full disk would kill the process.

        Raises:
            OSError: the disk has not that much room; nothing is left behind.
        """
        folder.mkdir(parents=True)
        try:
            for path, size in zip(self._files(folder), self._sizes(), strict=True):
                with open(path, "wb") as file:
                    os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            shutil.rmtree(folder)
            raise

    def mapped(self, folder: Path) -> list[Tensor]:
        """The tensors in a folder's files; what is written to them is written to the files."""
        import torch

        return [
            torch.from_file(str(path), shared=True, size=prod(shape), dtype=dtype).view(shape)
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
        meta = read_meta(folder)
        files = self._files(folder)
        if meta is None or meta.get("sha256") != [_digest(path) if path.is_file() else None for path in files]:
            shutil.rmtree(folder, ignore_errors=True)
            return False
        os.utime(folder / META)  # when it was last used
        return True

    def publish(self, unfinished: Path, root: Path) -> None:
        """Give a filled folder its name; where another run was faster, its entry stays and this one goes.

        Raises:
            OSError: the disk cannot be written.
        """
        for path in self._files(unfinished):
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        digests = [_digest(path) for path in self._files(unfinished)]
        meta = {"about": self.about, "bytes": self.size, "created": time.time(), "sha256": digests}
        (unfinished / META).write_text(json.dumps(meta), encoding="utf-8")
        try:
            unfinished.rename(root / self.key)
        except OSError:
            shutil.rmtree(unfinished)
            if not (root / self.key).exists():
                raise

    def _files(self, folder: Path) -> list[Path]:
        return [folder / f"{number}.bin" for number in range(len(self.shapes))]


def root(folder: str | None) -> Path:
    """Where entries are: `folder`, or by default the user's cache folder."""
    if folder is not None:
        return Path(folder).absolute()
    return cache_home() / "activations"


def sweep(root: Path) -> None:
    """Delete what runs left unfinished that were killed more than a day ago."""
    for folder in root.glob(f"*{UNFINISHED}"):
        if time.time() - folder.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def entries(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The finished entries: the folder, and what its ``meta.json`` says and when it was last used, in Unix seconds."""
    for folder in sorted(root.glob("*")):
        meta = read_meta(folder)
        if meta is not None and not folder.name.endswith(UNFINISHED):
            yield folder, {**meta, "used": (folder / META).stat().st_mtime}


def read_meta(folder: Path) -> dict[str, Any] | None:
    """What an entry says of itself; None for what is no whole entry."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return meta if isinstance(meta, dict) else None


def free_memory(shared: bool) -> int:
    """Bytes of RAM that can be had without swapping, within this container's limit; or of what processes share."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and (most := limit.read_text().strip()) != "max":
        free = min(free, int(most) - int(used.read_text()))
    return min(free, free_disk(SHARED_MEMORY)) if shared else free


def free_disk(folder: Path) -> int:
    """Bytes free where `folder` is, or would be made."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

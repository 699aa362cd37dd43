"""A folder of images with one folder a class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnntrain.core.errors import InputError
from cnntrain.core.words import listed
from cnntrain.data.base import Data
from cnntrain.data.sets.checks import refuse_download

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet
    from cnntrain.data.sets.files import Sample

SPELLINGS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class ImageFolder(Data):
    """Either ``root/train/<class>``, ``root/val/<class>``, ``root/test/<class>``, or just ``root/<class>``.

    Images may lie in folders below the class's. Names that begin with a dot are ignored, and so are files
    without an image's extension.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_download(self)
        if self.root is None:
            raise ValueError("root is required: data.root=<folder with train/ and val/, or with one folder a class>")

    def load(self) -> DataSet:
        from cnntrain.data.sets.files import file_set

        assert self.root is not None
        root = Path(self.root).expanduser().absolute()
        parts = _part_folders(root)
        found = {name: _samples(root, folder, needed=name == "train") for name, folder in parts.items()}
        return file_set(self, root, found or {"all": _samples(root, root, needed=True)})


def _part_folders(root: Path) -> dict[str, Path]:
    """The folders of the parts by name; empty where the root itself holds the class folders.

    A lone folder called `train` that holds images directly is a class (of vehicles, say), not a part.
    """
    parts: dict[str, Path] = {}
    for folder in _folders(root):
        for name, spellings in SPELLINGS.items():
            if folder.name.lower() in spellings:
                if name in parts:
                    raise InputError(f"{root}: both {parts[name].name!r} and {folder.name!r} could be the {name} part")
                parts[name] = folder
    if len(parts) == 1 and not _folders(*parts.values()):
        return {}
    if parts and "train" not in parts:
        others = ", ".join(repr(folder.name) for folder in parts.values())
        raise InputError(f"{root}: has {others} but no 'train' folder")
    return parts


def _samples(root: Path, part: Path, needed: bool) -> list[Sample]:
    """A part's images in the order of classes and paths; `needed`: a class without any is an error."""
    from torchvision.datasets.folder import IMG_EXTENSIONS

    from cnntrain.data.sets.files import Sample

    folders = _folders(part)
    if not folders:
        raise InputError(f"{part}: holds no class folders")
    above = os.path.join(root, "")
    samples: list[Sample] = []
    empty: list[str] = []
    for folder in folders:
        images = [
            Sample(entry.path[len(above) :].replace(os.sep, "/"), folder.name, *_size_and_time(entry))
            for entry in _walk(folder, frozenset())
            if entry.name.lower().endswith(IMG_EXTENSIONS)
        ]
        samples += sorted(images)
        if not images:
            empty.append(folder.name)
    if needed and empty:
        raise InputError(f"{part}: class folders without images ({', '.join(IMG_EXTENSIONS)}): {listed(empty)}")
    return samples


def _folders(folder: Path) -> list[Path]:
    return sorted(Path(entry.path) for entry in _entries(folder) if _is_dir(entry))


def _walk(folder: Path, above: frozenset[str]) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder that is no folder. Links are followed, but never back to a folder `above`."""
    real = os.path.realpath(folder)
    if real in above:
        return
    for entry in _entries(folder):
        if _is_dir(entry):
            yield from _walk(Path(entry.path), above | {real})
        else:
            yield entry


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"data.root: {folder}: {error.strerror or error}") from error


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _size_and_time(entry: os.DirEntry[str]) -> tuple[int, int]:
    try:
        if entry.is_file():
            status = entry.stat()
            return status.st_size, status.st_mtime_ns
    except OSError as error:
        raise InputError(f"{entry.path}: {error.strerror}") from error
    raise InputError(f"{entry.path}: is not a file, or a link to nothing: repair or remove it")

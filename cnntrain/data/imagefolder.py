"""A folder of images with one folder a class, or a .tar or .zip of one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.core.errors import InputError
from cnntrain.core.paths import absolute
from cnntrain.core.words import listed, printable
from cnntrain.data.base import Data
from cnntrain.data.sets.checks import refuse_download
from cnntrain.data.sets.parts import SPELLINGS

if TYPE_CHECKING:
    from typing import TypeAlias

    from cnntrain.data.sets.archives import Entry
    from cnntrain.data.sets.dataset import DataSet, Labelled
    from cnntrain.data.sets.files import Show
    from cnntrain.data.sets.listing import Listing, Sample

    AnyEntry: TypeAlias = os.DirEntry[str] | Entry

KINDS = 5  # extensions that a note names


@dataclass(frozen=True)
class ImageFolder(Data):
    """Either ``root/train/<class>``, ``root/val/<class>``, ``root/test/<class>``, or just ``root/<class>``.

    The root may be a .tar or .zip of such a folder, which is read in place.

    Images may lie in folders below the class's. Names that begin with a dot are left out, and so are files without
    the extension of an image, and what lies beside the folders; a note counts them.
    """

    divides = True
    of_files = True
    any_channels = True

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_download(self)
        if self.root is None:
            raise ValueError(
                "root is required: data.root=<folder with train/ and val/, or with one folder a class, or a .tar or "
                ".zip of it>"
            )

    def load(self) -> DataSet:
        from cnntrain.data.sets.files import file_set

        folder = self._folders()
        parts = folder.parts()
        if parts and "train" not in parts:
            others = ", ".join(repr(each.name) for each in parts.values())
            raise InputError(f"{folder.root}: has {others} but no 'train' folder")
        found = {name: folder.samples(each, needed=name == "train") for name, each in parts.items()}
        found = found or {"all": folder.samples(folder.root, True)}
        return file_set(self, folder.root, found, folder.notes(), self._show(folder))

    def labelled(self, part: str) -> Labelled:
        from cnntrain.data.sets.files import labelled_files

        folder = self._folders()
        parts = folder.parts() or {"all": folder.root}
        if part in parts:
            parts = {part: parts[part]}
        found = {name: folder.samples(each, needed=False) for name, each in parts.items()}
        return labelled_files(self, folder.root, found, part, folder.notes(), self._show(folder))

    def _folders(self) -> ClassFolders:
        return ClassFolders(self._path(), skips=self.on_bad == "skip")

    def _show(self, folder: ClassFolders) -> Show | None:
        return folder.show(self)

    def _path(self) -> Path:
        assert self.root is not None
        return Path(absolute(self.root))


class ClassFolders:
    """A folder that is searched for images; counts what is left out, and why.

    Args:
        skips: whether a link to nothing is a sample that cannot be read, rather than an error.
    """

    def __init__(self, root: Path, skips: bool):
        from cnntrain.data.sets import listing
        from cnntrain.data.sets.archives import Archive

        self.root = root
        self.of_file, self.absent = listing.sample, listing.absent  # not looked up for each of a million files
        self.skips = skips
        self.archive = Archive(root) if root.is_file() else None
        self.left_out: Counter[str] = Counter()
        if self.archive is not None and self.archive.of_macos:
            self.left_out["that macOS adds to archives"] = self.archive.of_macos
        self.extensions: Counter[str] = Counter()

    def readable(self) -> Collection[str]:
        """The extensions of the samples' files, in lower case."""
        from cnntrain.data.sets.decode import file_extensions

        return file_extensions()

    def notes(self) -> list[str]:
        """A line for the user, where anything was left out."""
        reasons = [f"{count:,} {why}" for why, count in self.left_out.items()]
        if kinds := self.extensions.most_common(KINDS):
            named = ", ".join(f"{count:,} {printable(name)}" for name, count in kinds)
            more = ", ..." if len(self.extensions) > len(kinds) else ""
            reasons.append(f"{self.extensions.total():,} without the extension of an image ({named}{more})")
        return [f"left out of {self.root}: {'; '.join(reasons)}"] if reasons else []

    def show(self, source: Data) -> Show | None:
        """How the images of an archive are read; None: as files."""
        archive = self.archive
        if archive is None:
            return None
        return lambda samples: archive.show(samples, source)

    def parts(self) -> dict[str, Path]:
        """The folders of the parts by name; empty where the root itself holds the class folders.

        A lone folder called `train` that holds images directly is a class (of vehicles, say), not a part.
        """
        parts: dict[str, Path] = {}
        folders = [entry for entry in self._entries(self.root) if _is_dir(entry)]
        for folder in folders:
            for name, spellings in SPELLINGS.items():
                if folder.name.lower() in spellings:
                    if name in parts:
                        both = f"both {parts[name].name!r} and {folder.name!r}"
                        raise InputError(f"{self.root}: {both} could be the {name} part")
                    parts[name] = Path(folder.path)
        if len(parts) == 1 and not any(
            _is_dir(each) for folder in parts.values() for each in self._entries(Path(folder))
        ):
            return {}
        if parts:
            self._count_others(self.root, list(parts.values()), "parts")
        return parts

    def samples(self, part: Path, needed: bool) -> Listing:
        """A part's images in the order of classes and paths; `needed`: a class without any is an error."""
        from cnntrain.data.sets.listing import Listing

        folders = [Path(entry.path) for entry in self._entries(part) if _is_dir(entry)]
        if not folders:
            raise InputError(f"{part}: holds no class folders")
        self._count_others(part, folders, "classes")
        empty: list[str] = []
        samples = Listing.of(each for folder in folders for each in self._of_class(folder, empty))
        if needed and empty:
            left_out = "".join(f"; {line}" for line in self.notes())
            raise InputError(f"{part}: class folders without images: {listed(empty)}{left_out}")
        return samples

    def _of_class(self, folder: Path, empty: list[str]) -> list[Sample]:
        """The images in a class's folder and below it; its name goes to the `empty` ones where there are none."""
        readable, start = self.readable(), len(os.path.join(self.root, ""))
        sample: Callable[[str, str, Any], Sample] = self._sample if self.archive is None else self.archive.sample
        images: list[Sample] = []
        for entry in self._walk(folder, frozenset()):
            extension = os.path.splitext(entry.name)[1]
            if extension.lower() in readable:
                images.append(sample(entry.path[start:].replace(os.sep, "/"), folder.name, entry))
            else:
                self.extensions[extension or "with none"] += 1
        if not images:
            empty.append(folder.name)
        return sorted(images)

    def _count_others(self, folder: Path, taken: Collection[Path], of: str) -> None:
        """Count what lies beside the folders that are taken."""
        paths = {str(each) for each in taken}
        beside = [each for each in self._entries(folder, hidden=self.left_out) if each.path not in paths]
        if beside:
            self.left_out[f"beside the folders of the {of}"] += len(beside)

    def _walk(self, folder: Path, above: frozenset[str]) -> Iterator[AnyEntry]:
        """Everything below a folder that is no folder. Links are followed, but never back to a folder `above`."""
        real = os.path.realpath(folder)
        if real in above:
            return
        for entry in self._entries(folder, hidden=self.left_out):
            if _is_dir(entry):
                yield from self._walk(Path(entry.path), above | {real})
            else:
                yield entry

    def _entries(self, folder: Path, hidden: Counter[str] | None = None) -> list[AnyEntry]:
        """What a folder holds, in order, without what is hidden, which is counted."""
        listed = _listed(folder) if self.archive is None else self.archive.entries(folder)
        found: list[AnyEntry] = sorted(listed, key=lambda entry: entry.name)
        shown = [entry for entry in found if not entry.name.startswith(".")]
        if hidden is not None and len(shown) < len(found):
            hidden["hidden"] += len(found) - len(shown)
        return shown

    def _sample(self, id_: str, label: str, entry: Any) -> Sample:
        try:
            return self.of_file(id_, label, _status(entry))
        except InputError:
            if not self.skips:
                raise
            return self.absent(id_, label)


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise InputError(f"data.root: {folder}: {error.strerror or error}") from error


def _is_dir(entry: AnyEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        if entry.is_file():
            return entry.stat()
    except OSError as error:
        raise InputError(f"{entry.path}: {error.strerror}") from error
    raise InputError(f"{entry.path}: is not a file, or a link to nothing: repair or remove it")

"""A .tar or .zip of folders of images, read in place: what is in it, as a folder shows it, and its images.

Nothing is extracted. The archive is opened for each image, so that workers share no position in it.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from cnntrain.core.errors import InputError
from cnntrain.core.paths import is_below
from cnntrain.core.words import printable
from cnntrain.data.base import Data
from cnntrain.data.sets.decode import Decoded, decode
from cnntrain.data.sets.listing import Listing, Sample
from cnntrain.data.sets.parts import SPELLINGS
from cnntrain.data.sets.tars import headers

LOCAL = struct.Struct("<4s22xHH")  # of a zip: before each member, with the lengths of what stands before its content
SIGNATURE = b"PK\x03\x04"
EMPTY = b"PK\x05\x06"
MACOS = "__MACOSX"  # a folder of what is no content
LARGEST = 2**30  # bytes of an image
DEFLATE_RATIO = 1032  # at most; a header that says more lies


class Place(NamedTuple):
    """Where a member's content lies.

    Attributes:
        offset: of the content in a tar, of the member's own header in a zip.
        packed: bytes in the archive.
        crc: of the content; -1: none is known.
    """

    offset: int
    packed: int
    size: int
    deflated: bool = False
    crc: int = -1


@dataclass(frozen=True)
class Entry:
    """What a folder in an archive holds, with as much of `os.DirEntry` as a search needs."""

    name: str
    path: str
    place: Place | None  # None: of a folder

    def is_dir(self) -> bool:
        return self.place is None


@dataclass
class _Node:
    folders: dict[str, _Node] = field(default_factory=dict)
    files: dict[str, Place] = field(default_factory=dict)


class Archive:
    """The tree of an archive; paths in it begin with the archive's own.

    Where everything lies in one folder that is no part and no class, as archivers put it, that folder is the root.

    Raises:
        InputError: it is damaged, packed as a whole or encrypted, or has members with bad paths, links or overlaps.
    """

    def __init__(self, path: Path):
        self.path = path
        self.modified = path.stat().st_mtime_ns
        self.places: dict[str, Place] = {}
        self.tree = _Node()
        self.of_macos = 0
        with open(path, "rb") as file:
            is_zip = file.read(4) in (SIGNATURE, EMPTY)
        members = _of_zip(path) if is_zip else _of_tar(path)
        for name, place in members:
            self._add(name, place)
        (only,) = self.tree.folders.values() if len(self.tree.folders) == 1 else [_Node()]
        name = next(iter(self.tree.folders), "")
        is_part = any(name.lower() in each for each in SPELLINGS.values())
        if all(each.startswith(".") for each in self.tree.files) and only.folders and not is_part:
            self.tree = only

    def entries(self, folder: Path) -> list[Entry]:
        """What a folder of it holds, in no order."""
        node = self.tree
        for name in folder.relative_to(self.path).parts:
            node = node.folders[name]
        above = os.path.join(folder, "")
        found = [Entry(name, above + name, None) for name in node.folders]
        return found + [Entry(name, above + name, place) for name, place in node.files.items()]

    def sample(self, id_: str, label: str, entry: Entry) -> Sample:
        """Raises InputError where it is larger than any image."""
        place = entry.place
        assert place is not None
        if place.size > LARGEST or (place.deflated and place.size > DEFLATE_RATIO * (place.packed + 1)):
            raise InputError(f"{printable(entry.path)}: {place.size:,} bytes out of {place.packed:,} are no image")
        self.places[id_] = place
        return Sample(id_, label, place.size, self.modified, (0, place.offset))

    def show(self, samples: Listing, source: Data) -> ArchiveImages:
        return ArchiveImages(self.path, samples.ids, [self.places[each] for each in samples.ids], source)

    def _add(self, name: str, place: Place | None) -> None:
        path = name.rstrip("/").removeprefix("./")
        if path in ("", "."):
            return
        shown = f"{self.path}: the member {printable(repr(name))}"
        if not is_below(path) or "\\" in path or ":" in path.partition("/")[0]:
            raise InputError(f"{shown} does not lie below the archive's root, or cannot be shown: make it anew")
        *above, last = [each for each in path.split("/") if each not in ("", ".")]
        if MACOS in (*above, last)[:1]:
            self.of_macos += place is not None
            return
        node = self.tree
        for each in above:
            if each in node.files:
                raise InputError(f"{shown} is in a folder that is a file, too")
            node = node.folders.setdefault(each, _Node())
        if place is None and last not in node.files:
            node.folders.setdefault(last, _Node())
        elif place is None or last in node.files or last in node.folders:
            raise InputError(f"{shown} is there twice")
        else:
            node.files[last] = place


class ArchiveImages(Decoded):
    """Images decoded from members when asked for; see `decode` for what is done to them."""

    def __init__(self, path: Path, ids: Sequence[str], places: Sequence[Place], source: Data):
        super().__init__(source.reading)
        self.path = str(path)
        self.ids = ids
        self.places = np.array(places, dtype=np.int64).reshape(-1, len(Place._fields))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> torch.Tensor:
        name = os.path.join(self.path, self.ids[index])
        offset, packed, size, deflated, crc = self.places[index].tolist()
        place = Place(offset, packed, size, bool(deflated), crc)
        try:
            with open(self.path, "rb", buffering=0) as file:
                content = _content(file.fileno(), place)
        except (OSError, ValueError, zlib.error) as error:
            raise InputError(f"{name}: cannot be read out of the archive ({error}): make it anew") from error
        return decode(name, self.how, content)


def _content(file: int, place: Place) -> bytes:
    """A member's content.

    Raises:
        ValueError: it is not what the archive says of it; zlib.error: the same.
    """
    start = place.offset
    if place.crc >= 0:
        head = os.pread(file, LOCAL.size, start)
        if len(head) < LOCAL.size or not head.startswith(SIGNATURE):
            raise ValueError("no member begins where one should")
        _, name, extra = LOCAL.unpack(head)
        start += LOCAL.size + name + extra
    content = os.pread(file, place.packed, start)
    if place.deflated:
        content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, place.size + 1)  # and no more, if it lies
    if len(content) != place.size or (place.crc >= 0 and zlib.crc32(content) != place.crc):
        raise ValueError("it is damaged, or has changed since this run began")
    return content


def _of_tar(path: Path) -> Iterator[tuple[str, Place | None]]:
    for each in headers(path):
        if each.isdir():
            yield each.name, None
        elif each.isreg() and each.sparse is None:
            yield each.name, Place(each.offset_data, each.size, each.size)
        else:
            raise _refused(path, each.name, "is a link, a device or a file with holes")


def _of_zip(path: Path) -> Iterator[tuple[str, Place | None]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            end = archive.start_dir
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise InputError(f"{path}: is damaged or incomplete ({error}): copy or make it anew") from error
    free = 0
    for each in sorted(members, key=lambda each: each.header_offset):
        if each.header_offset < free or each.header_offset + LOCAL.size + each.compress_size > end:
            raise _refused(path, each.filename, "shares its content with others, or lies outside: a bomb, or damage")
        free = each.header_offset + LOCAL.size + each.compress_size
    for each in members:
        kind = stat.S_IFMT(each.external_attr >> 16)
        if each.is_dir():
            yield each.orig_filename, None
        elif kind not in (0, stat.S_IFREG):
            raise _refused(path, each.filename, "is a link or a device")
        elif each.flag_bits & 1:
            raise _refused(path, each.filename, "is encrypted")
        elif each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _refused(path, each.filename, "is packed in another way than deflate")
        else:
            deflated = each.compress_type == zipfile.ZIP_DEFLATED
            yield each.orig_filename, Place(each.header_offset, each.compress_size, each.file_size, deflated, each.CRC)


def _refused(path: Path, name: str, what: str) -> InputError:
    return InputError(f"{path}: the member {printable(repr(name))} {what}: make the archive anew without it")

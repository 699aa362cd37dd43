"""What is in tar files, found out once: of each sample where its image lies and what its label is.

Members are grouped to samples by the webdataset package, by the rules by which it would stream them. Nothing else of it
is used: neither its opening of URLs, among which are commands, nor its decoders, which unpickle.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch

from cnntrain.core import plain_json, store
from cnntrain.core.digest import digest
from cnntrain.core.errors import InputError
from cnntrain.core.store import Entry
from cnntrain.core.words import printable
from cnntrain.data.base import Data
from cnntrain.data.sets.decode import extensions
from cnntrain.data.sets.tars import headers

INDEX = "shards"  # the kind of entries of the store
META = re.compile("__[^/]*__($|/)")  # what webdataset skips
LABEL = 2**16  # bytes at most: a class, not a picture

Member = tuple[str, int, int]  # its name, and its offset and its size in bytes
Samples = list[list[Any]]  # of each name, offset and size of the member that is its image, and its label


@dataclass(frozen=True)
class Shard:
    """A tar file; `name` is its path below the root, `file` its device and inode, `modified` as of a `Sample`."""

    path: Path
    name: str
    size: int
    modified: int
    file: tuple[int, int]

    @classmethod
    def of(cls, root: Path, name: str) -> Shard:
        """Raises InputError where there is no such file."""
        path = root / name
        try:
            status = path.stat()
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
        if not path.is_file():
            raise InputError(f"{path}: is not a file")
        return cls(path, name, status.st_size, status.st_mtime_ns, (status.st_dev, status.st_ino))


@dataclass(frozen=True)
class Wanted:
    """Which members of a sample are read.

    Attributes:
        image: extension without its dot; None: the only one that is an image's.
        label: the same.
        key: of a JSON object that is the label.
    """

    image: str | None
    label: str
    key: str | None


class Index(TypedDict):
    """Of each shard its `Samples`; and members that belong to none, counted by why."""

    shards: list[Any]  # which a digest guards, so that millions of them are not held against a type again
    left_out: dict[str, int]


def indexed(source: Data, shards: Sequence[Shard], wanted: Wanted, notes: list[str]) -> list[Samples]:
    """Of each shard its samples: as they were found out by an earlier run, or by reading the headers of all members.

    Args:
        notes: to which lines for the user are added.

    Raises:
        InputError: a shard is damaged, or a sample lacks its image or its label.
    """
    root = store.root(source.cache_dir, INDEX)
    places = [[str(each.path), each.size, each.modified, list(each.file)] for each in shards]
    key = digest({"shards": places, "wanted": asdict(wanted), "images": sorted(extensions()), "format": 1})
    index = _kept(root, key)
    if index is None:
        left_out: Counter[str] = Counter()
        index = {"shards": indexed_anew(shards, wanted, left_out), "left_out": dict(left_out)}
        problem = _keep(
            root, key, index, {"model": None, "data": source.name, "part": "all", "cut": ["index"], "views": 1}
        )
        if problem is not None:
            notes.append(f"where the images lie in the shards is not kept, and will be found out anew: {problem}")
    if index["left_out"]:
        reasons = ", ".join(f"{count:,} {printable(why)}" for why, count in sorted(index["left_out"].items()))
        notes.append(f"left out of the shards: {reasons}")
    return index["shards"]


def indexed_anew(shards: Sequence[Shard], wanted: Wanted, left_out: Counter[str]) -> list[Samples]:
    """Of each shard its samples, by reading the headers of all members; see `indexed`."""
    return [list(_samples(shard, wanted, left_out)) for shard in shards]


def _samples(shard: Shard, wanted: Wanted, left_out: Counter[str]) -> Iterator[list[Any]]:
    """Name, offset and size of each sample's image, and its label."""
    from webdataset.tariterators import group_by_keys

    members = ({"fname": each[0], "data": each, "__url__": shard.name} for each in _members(shard, left_out))
    seen: set[str] = set()
    with open(shard.path, "rb", buffering=0) as file:
        for sample in _grouped(shard, group_by_keys(members)):
            key = sample["__key__"]
            found: dict[str, Member] = {name: each for name, each in sample.items() if not name.startswith("__")}
            image = found[_image(shard, key, found, wanted)]
            if key in seen:
                raise InputError(f"{shard.path}: {printable(key)} is there twice")
            seen.add(key)
            if wanted.label not in found:
                raise InputError(f"{shard.path}: {printable(key)} has no .{wanted.label}: data.label_extension says it")
            name, offset, size = found[wanted.label]
            if size > LABEL:
                raise InputError(f"{shard.path}/{printable(name)}: {size:,} bytes are no label")
            yield [*image, _label(f"{shard.path}/{printable(name)}", os.pread(file.fileno(), size, offset), wanted)]


def _grouped(shard: Shard, samples: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    try:
        yield from samples
    except ValueError as error:  # two members of one name
        raise InputError(f"{shard.path}: {printable(str(error.args[0]).partition(' dict_keys')[0])}") from error


def _image(shard: Shard, key: str, found: dict[str, Member], wanted: Wanted) -> str:
    """The extension of the member that is the image."""
    if wanted.image is not None:
        if wanted.image.lower() not in found:
            raise InputError(f"{shard.path}: {printable(key)} has no .{wanted.image}: data.image_extension says it")
        return wanted.image.lower()
    images = [each for each in found if f".{each.rpartition('.')[2]}" in extensions()]
    if len(images) != 1:
        has = " and ".join(f".{printable(each)}" for each in sorted(found))
        raise InputError(
            f"{shard.path}: {printable(key)} has {has}: {'which' if images else 'none'} is the image? "
            "data.image_extension says it"
        )
    return images[0]


def _label(where: str, content: bytes, wanted: Wanted) -> str:
    try:
        label: Any = content.decode("utf-8").strip()
        if wanted.key is not None:
            label = plain_json.read(label, Any)
            for each in wanted.key.split("."):
                label = label[each]
    except (ValueError, KeyError, TypeError) as error:
        expected = "UTF-8 text" if wanted.key is None else f"a JSON object with {wanted.key}"
        raise InputError(f"{where}: must be {expected}") from error
    if isinstance(label, bool) or not isinstance(label, str | int) or not str(label).strip():
        raise InputError(f"{where}: its label is {printable(repr(label))}: it must be a number or a word")
    return str(label).strip()


def _members(shard: Shard, left_out: Counter[str]) -> Iterator[Member]:
    """The files in a shard."""
    for each in headers(shard.path):
        if each.isdir() or META.match(each.name):
            continue
        if not each.isreg() or each.sparse is not None:
            left_out["links and other members that are no plain files"] += 1
        elif os.path.basename(each.name).partition(".")[0] and "." in os.path.basename(each.name):
            yield each.name, each.offset_data, each.size
        else:
            left_out["without an extension, or hidden"] += 1


def _kept(root: Path, key: str) -> Index | None:
    meta = store.read_meta(root / key)
    if meta is None:
        return None
    entry = Entry(key, [(meta["bytes"],)], [torch.uint8], meta["about"])
    if not entry.is_whole(root):
        return None
    index: Index = plain_json.read(entry.mapped(root / key)[0].numpy().tobytes(), Index)
    return index


def _keep(root: Path, key: str, index: Index, about: store.About) -> str | None:
    """Leave it for other runs; returns why that cannot be."""
    content = torch.frombuffer(bytearray(plain_json.text(index).encode()), dtype=torch.uint8)
    entry = Entry(key, [tuple(content.shape)], [torch.uint8], about)
    folder = entry.unfinished(root, uuid.uuid4().hex[:12], 0)
    try:
        entry.make_files(folder)
        entry.mapped(folder, fill=True)[0].copy_(content)
        entry.publish(folder, root)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        return f"{root}: {error.strerror}"
    return None

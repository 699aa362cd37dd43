"""Samples in tar files: which shards there are, what is in them, and reading members at their offsets."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cnntrain.core import plain_json
from cnntrain.core.errors import InputError
from cnntrain.core.paths import absolute, is_below
from cnntrain.core.words import listed, normalised, printable
from cnntrain.data.base import Data, Reading
from cnntrain.data.sets.decode import Decoded, decode
from cnntrain.data.sets.extras import needed
from cnntrain.data.sets.files import Show, numbered
from cnntrain.data.sets.listing import Listing, Sample
from cnntrain.data.sets.members import Shard, Wanted, indexed
from cnntrain.data.sets.parts import SPELLINGS

EXTRA = "webdataset"


@dataclass(frozen=True)
class Found:
    """What shards hold.

    Attributes:
        samples: by part, or under ``all`` where they come in no parts; of each, `file` is the number of its shard and
            its offset.
        order: names of classes in the order of their numbers.
        notes: lines for the user.
    """

    samples: dict[str, Listing]
    show: Show
    order: Sequence[str]
    notes: list[str]


class MemberImages(Decoded):
    """Images decoded from members of shards when asked for; see `decode` for what is done to them.

    A file is opened for each: thousands of shards are more than a process may have open.
    """

    def __init__(self, root: Path, shards: Sequence[Shard], samples: Listing, how: Reading):
        super().__init__(how)
        self.root = root
        self.paths = [str(shard.path) for shard in shards]
        self.ids = samples.ids
        self.places = np.column_stack([samples.files.astype(np.int64), samples.sizes])

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> torch.Tensor:
        shard, offset, size = self.places[index].tolist()
        name = os.path.join(self.root, self.ids[index])
        try:
            with open(self.paths[shard], "rb", buffering=0) as file:
                content = os.pread(file.fileno(), size, offset)
        except OSError as error:
            raise InputError(f"{name}: cannot be read ({error.strerror})") from error
        if len(content) < size:
            raise InputError(f"{name}: the shard ends within it: it has changed since this run began")
        return decode(name, self.how, content)


def find(
    source: Data, root: Path, patterns: Mapping[str, Sequence[str] | None], wanted: Wanted, class_names: str | None
) -> Found:
    """The samples in the shards below a folder.

    Args:
        patterns: by part; where there are none at all, shards are told by their names.
        class_names: a file, relative to the root.

    Raises:
        InputError: a shard is missing or damaged, or a sample lacks its image or its label; the message names it.
        ConfigError: the package webdataset is not installed.
    """
    needed(source, "webdataset", EXTRA)
    names, notes = (_named(source, root, patterns), []) if any(patterns.values()) else _by_name(root)
    numbers: dict[str, int] = {}
    shards: list[Shard] = []
    for part, paths in names.items():
        for path in paths:
            if path in numbers:
                raise InputError(f"{root}: the shard {path} is in two parts, or twice in {part}")
            numbers[path] = len(shards)
            shards.append(Shard.of(root, path))
    _check_apart(root, shards)
    index = indexed(source, shards, wanted, notes)
    classes = [] if class_names is None else _names(Path(absolute(os.path.join(root, class_names))))
    known = {name: name for name in classes} | {str(number): name for number, name in enumerate(classes)}

    def members(path: str) -> Iterator[Sample]:
        number = numbers[path]
        for member, offset, size, label in index[number]:
            id_ = f"{path}/{member}"
            name = _name(label, known, root / id_) if known else label
            yield Sample(id_, name, size, shards[number].modified, (number, offset))

    samples = {part: Listing.of(each for path in paths for each in members(path)) for part, paths in names.items()}

    def show(some: Listing) -> MemberImages:
        return MemberImages(root, shards, some, source.reading)

    return Found(samples, show, classes or numbered(samples), notes)


def _named(source: Data, root: Path, patterns: Mapping[str, Sequence[str] | None]) -> dict[str, list[str]]:
    """Paths of shards by part, below the root: of braces all must be there, of an asterisk what is there is taken."""
    expand = needed(source, "braceexpand", EXTRA).braceexpand
    found: dict[str, list[str]] = {}
    for part, each in patterns.items():
        for pattern in each or ():
            for path in expand(pattern):
                if not is_below(path):
                    raise InputError(f"data.{part}_shards={pattern}: {printable(path)} is not below data.root")
                matching = [path]
                if set("*?[") & set(path):
                    matching = sorted(file.relative_to(root).as_posix() for file in root.glob(path))
                if not matching:
                    raise InputError(f"data.{part}_shards={pattern}: no file below {root} is called so")
                found.setdefault(part, []).extend(matching)
    return found


def _by_name(root: Path) -> tuple[dict[str, list[str]], list[str]]:
    """The shards in the folder and in those in it, by the part that is a word of their names; ``all``, where none has
    one."""
    if not root.is_dir():
        raise InputError(f"data.root={root}: there is no such folder")
    found: dict[str, list[str]] = {}
    for file in sorted([*root.glob("*.tar"), *root.glob("*/*.tar")]):
        path = file.relative_to(root).as_posix()
        words = set(re.split("[^a-z]+", path.lower()))
        parts = [part for part, spellings in SPELLINGS.items() if words & set(spellings)]
        if len(parts) > 1:
            raise InputError(f"{file}: could be of {' and of '.join(parts)}: say which with data.train_shards")
        found.setdefault(parts[0] if parts else "all", []).append(path)
    if not found:
        raise InputError(f"{root}: holds no shards, which are files called *.tar")
    if len(found) == 1 or "all" not in found:
        return found, []
    others = found.pop("all")
    return found, [f"left out of {root}: {len(others):,} shards whose names say no part: {listed(others)}"]


def _check_apart(root: Path, shards: Sequence[Shard]) -> None:
    """No shard is there twice, by whatever links; file systems without inodes say 0 for all."""
    first: dict[tuple[int, int], Path] = {}
    for shard in shards:
        other = first.setdefault(shard.file, shard.path)
        if other != shard.path and shard.file[1]:
            raise InputError(f"{root}: {printable(str(other))} and {printable(str(shard.path))} are one file")


def _names(path: Path) -> list[str]:
    """Names of classes: a line each, or a JSON list, or a JSON object from numbers to names."""
    try:
        text = path.read_text(encoding="utf-8")
        names = _of_json(text) if path.suffix == ".json" else text.splitlines()
    except OSError as error:
        raise InputError(f"data.class_names: {path}: {error.strerror}") from error
    except (ValueError, KeyError) as error:
        raise InputError(
            f"data.class_names: {path}: must be a list of names, or an object from 0, 1, ... to names"
        ) from error
    names = [normalised(name) for name in names]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or not all(name.strip() for name in names):
        what = f"{listed(twice)} twice" if twice else "a class without a name"
        raise InputError(f"data.class_names: {path}: has {what}: each needs a name of its own")
    return names


def _of_json(text: str) -> list[str]:
    found: Any = plain_json.read(text, list[str] | dict[str, str])
    return [found[str(number)] for number in range(len(found))] if isinstance(found, dict) else found


def _name(label: str, known: Mapping[str, str], where: Path) -> str:
    """The name of a class that is given by its name or by its number."""
    name = known.get(label) or known.get(label.lstrip("0") or "0")
    if name is None:
        raise InputError(f"{where}: its label {printable(repr(label))} is none of data.class_names")
    return name

"""Which runs have which configuration, found without reading the YAML of each again. Imports nothing heavy.

``<output>/.runs.jsonl`` has a line for each run whose configuration was read: its digest, and the time of its file. A
line is believed as long as the file has that time; what has no such line is read once. So the index may be deleted.
Other lines have the keys of configurations, each set once: those of earlier versions have fewer.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

from cnntrain.core import plain_json
from cnntrain.core.keys import flat
from cnntrain.runs import folder as folders

INDEX = ".runs.jsonl"
NO_PART = ("resume", "devices")  # keys that are no part of what a run is


class Entry(TypedDict):
    """A line of the index."""

    run: str  # below the output
    changed: int  # when its config.yaml was, in ns
    config: str  # its digest
    keys: str  # the digest of its `Keys`


class Keys(TypedDict):
    """A line of the index: the keys that some runs have."""

    keys: str  # their digest
    names: list[str]


def digest(config: Mapping[str, Any]) -> str:
    """Hex sha256 of a run's configuration, whatever the order of its keys."""
    return _sha(_values(config))


def find(output: Path, config: Mapping[str, Any]) -> list[Path]:
    """Folders of the runs below `output` that have this configuration, the newest first; also of those that lack some
    of its keys, and have its values of all others: whoever knows the defaults can tell whether they are the same.

    Raises:
        InputError: a configuration that nobody has read yet is damaged.
    """
    known: dict[str, Entry] = {each["run"]: each for each in entries(output / INDEX, Entry)}
    wanted = _Wanted(_values(config), {each["keys"]: each["names"] for each in entries(output / INDEX, Keys)})
    found, added = [], list[Mapping[str, Any]]()
    for place in _runs(output):
        changed, name = os.stat(place / folders.CONFIG).st_mtime_ns, place.relative_to(output).as_posix()
        entry = known.get(name)
        if entry is None or entry["changed"] != changed or entry["keys"] not in wanted.names:
            values = _values(folders.config(place))
            entry = Entry(run=name, changed=changed, config=_sha(values), keys=_sha(list(values)))
            added += [entry, *wanted.learned(entry["keys"], list(values))]
        if wanted.is_of(entry):
            found.append((changed, name, place))
    with suppress(OSError):  # where nobody may write, or the disk is full, the next one reads them too
        add(output / INDEX, added)
    return [place for _, _, place in sorted(found, reverse=True)]


class _Wanted:
    """What runs are held against.

    Args:
        values: of a configuration.
        names: of the keys that some runs have, by their digest.
    """

    def __init__(self, values: Mapping[str, Any], names: dict[str, list[str]]):
        self.values, self.names = values, names
        self.digests: dict[str, str | None] = {}  # of the values that it has of some keys; None: it lacks one

    def learned(self, keys: str, names: list[str]) -> list[Keys]:
        """The line that has these names, if no other has."""
        if keys in self.names:
            return []
        self.names[keys] = names
        return [Keys(keys=keys, names=names)]

    def is_of(self, entry: Entry) -> bool:
        keys = entry["keys"]
        if keys not in self.digests:
            names = self.names[keys]
            known = self.values.keys() >= set(names)
            self.digests[keys] = _sha({name: self.values[name] for name in names}) if known else None
        return entry["config"] == self.digests[keys]


def entries(path: Path, shape: Any) -> list[Any]:
    """The lines of a file that only grows; none where there is no file. One that a process was killed in is left out.

    Args:
        shape: what a line is, see `plain_json.read`.
    """
    found = []
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    for each in lines:
        with suppress(ValueError):
            found.append(plain_json.read(each, shape))
    return found


def add(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Add lines at the end of a file, in one write, so that two processes do not mix theirs."""
    if lines:
        with open(path, "ab+", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            torn = b"" if file.read(1) in (b"", b"\n") else b"\n"  # by a process that was killed as it wrote
            file.write(torn + b"".join(f"{plain_json.text(each)}\n".encode() for each in lines))


def _runs(root: Path) -> Iterator[Path]:
    """Folders of runs at any depth; not within a run's own folder, which has many files."""
    for place, inner, files in os.walk(root):
        inner[:] = [each for each in inner if not each.startswith(".")]  # that is only being made
        if folders.CONFIG in files:
            inner[:] = []
            yield Path(place)


def _values(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's configuration consists of, by dotted keys in the order of their names."""
    return {key: _plain(value) for key, value in sorted(flat(config).items()) if key not in NO_PART}


def _sha(values: Any) -> str:
    return hashlib.sha256(plain_json.text(values).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """With 1.0 as 1, as Python compares them and YAML may write either."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value

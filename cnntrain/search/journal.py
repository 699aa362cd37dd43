"""What a search has tried, a line of JSON each, so that a killed one goes on where it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnntrain.core import plain_json
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.files import remove_temporary, write_atomic, writing
from cnntrain.core.lock import held

JOURNAL, SETTINGS = "journal.jsonl", "search.json"
SHOWN = 5  # keys that differ


class Journal:
    """Records by their key, in the order in which they were added."""

    def __init__(self, path: Path):
        """Raises InputError where a line within the file cannot be read; the last one may be half written."""
        self.path = path
        self.records: dict[str, dict[str, Any]] = {}
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                record = plain_json.read(line, dict[str, Any])
                self.records[record["key"]] = record
            except (ValueError, KeyError) as error:
                raise InputError(f"{path}: line {number} is damaged ({error}): delete it, to try that anew") from error
        if len(whole) < len(content):
            with writing(path):
                os.truncate(path, len(whole))

    def add(self, key: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a record under a new key; it is on the disk when this returns."""
        kept = {"key": key, **record}
        with writing(self.path), open(self.path, "ab") as file:
            file.write(plain_json.text(kept).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.records[key] = kept
        return kept


@contextmanager
def opened(folder: Path, settings: Mapping[str, Any], defaults: Callable[[], Mapping[str, Any]]) -> Iterator[Journal]:
    """The journal of a folder, which no other process may use within the block.

    Args:
        settings: dotted keys to values, on which what is found depends.
        defaults: of the keys; a search that an earlier version began was done with those of keys that came since.

    Raises:
        ConfigError: the folder is of a search with other settings.
        InputError: another process is at it, or the journal is damaged.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output: {folder} cannot be made: {error.strerror}") from error
    with held(folder):
        remove_temporary(folder)
        _require_same(folder, settings, defaults)
        yield Journal(folder / JOURNAL)


def _require_same(folder: Path, settings: Mapping[str, Any], defaults: Callable[[], Mapping[str, Any]]) -> None:
    path, text = folder / SETTINGS, plain_json.text(dict(settings), indent=2)
    if not path.exists():
        write_atomic(path, text.encode())
        return
    try:
        before = plain_json.read(path.read_bytes(), dict[str, Any])
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    now = plain_json.read(text, dict[str, Any])
    if new := now.keys() - before.keys():
        values = defaults()
        before |= {key: values[key] for key in new & values.keys()}
    names = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if names:
        changes = [f"{each}={before.get(each)} is now {now.get(each)}" for each in names[:SHOWN]]
        raise ConfigError(
            f"{folder} is of a search with other settings ({'; '.join(changes)}): type those again to go on with "
            "it, or name=<another> for a new one"
        )

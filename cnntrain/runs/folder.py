"""A run's folder: made once, held by one run at a time, found again by resume. Imports nothing heavy."""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from math import nan
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import yaml

from cnntrain.core import files, plain_json, plain_yaml
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.lock import in_use
from cnntrain.tasks.base import Column

CONFIG, RESULT, METRICS, IMPORTS = "config.yaml", "result.json", "metrics.jsonl", "imports.json"
COMMANDS = "commands.json"
ABANDONED = 3600  # seconds after which a folder that has not got its name never will


class Best(TypedDict):
    epoch: int


class Judged(TypedDict):
    columns: list[Column]


class Counted(TypedDict):
    count: int
    of: NotRequired[int | None]


class Result(TypedDict):
    """What is read of ``result.json``."""

    status: NotRequired[str]
    error: NotRequired[str]
    best: NotRequired[Best | None]
    test: NotRequired[dict[str, float | None] | None]
    task: NotRequired[Judged]  # runs of 0.1 do not tell
    val: NotRequired[Counted | None]


class Needed(TypedDict):
    """An entry of ``imports.json``."""

    word: str
    module: str
    sha256: str
    needed: bool


class Typed(TypedDict):
    """An entry of ``commands.json``."""

    when: str
    command: str


class Line(TypedDict):
    """The keys of a line of ``metrics.jsonl`` that are no metrics."""

    step: NotRequired[int]
    epoch: NotRequired[int]


def create(parent: Path, fill: Callable[[Path], None]) -> Path:
    """Make ``<parent>/<YYYYMMDD-HHMMSS>``; runs that start in the same second get -1, -2, ...

    It gets that name when it is filled: one without a configuration could neither be found nor continued.

    Args:
        fill: writes the first files into the folder that it is given.

    Raises:
        InputError: the folder cannot be made.
    """
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    temporary = parent / f".{stamp}-{uuid.uuid4().hex[:8]}.tmp"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(parent)
        temporary.mkdir()
        fill(temporary)
        return _named(temporary, parent / stamp)
    except OSError as error:
        raise InputError(
            f"cannot make the run's folder in {parent}: {error.strerror}; choose output=<folder>"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _named(temporary: Path, wanted: Path) -> Path:
    """Give a folder its name, or the first one with a number that is free."""
    number = 0
    while True:
        folder = wanted.with_name(f"{wanted.name}-{number}") if number else wanted
        try:
            return temporary.rename(folder)  # a folder in which something is cannot be replaced
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        number += 1


def _remove_abandoned(parent: Path) -> None:
    """Delete what was killed before it got its name."""
    for each in parent.glob(".*.tmp"):
        with suppress(OSError):  # another process may have deleted it
            if time.time() - each.stat().st_mtime > ABANDONED:
                shutil.rmtree(each)


def describe(folder: Path, config: Mapping[str, Any], imports: Sequence[Mapping[str, Any]]) -> None:
    """Write what a run is made of: its configuration, and the user's own code that it needs.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    if imports:
        files.write_atomic(folder / IMPORTS, plain_json.text(imports, indent=2).encode())
    files.write_atomic(folder / CONFIG, yaml.safe_dump(config, sort_keys=False).encode())


def result(folder: Path) -> dict[str, Any] | None:
    """What ``result.json`` says, or None where the run has not ended.

    Raises:
        InputError: the file is damaged.
    """
    found: dict[str, Any] | None = read(folder / RESULT, Result)
    return found


def read(path: Path, shape: Any) -> Any:
    """What a file of JSON in a run's folder holds; None where there is none.

    Raises:
        InputError: it is damaged, or may not be read.
    """
    text = _text(path)
    try:
        return None if text is None else plain_json.read(text, shape)
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error


def _text(path: Path) -> str | None:
    """What a file of a run holds; None where there is none.

    Raises:
        InputError: it is not UTF-8, or may not be read: a run of another user's, say.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def is_finished(folder: Path) -> bool:
    ended = result(folder)
    return ended is not None and ended.get("status") == "finished"


def config(folder: Path) -> dict[str, Any]:
    """The configuration of a run, as plain values.

    Raises:
        ConfigError: the folder is not there or is not a run's.
        InputError: its ``config.yaml`` is damaged.
    """
    path = folder / CONFIG
    if _text(path) is None:
        what = "holds no config.yaml: it is not a run's folder" if folder.is_dir() else "does not exist"
        raise ConfigError(f"{folder} {what}; give a run's folder, latest or auto")
    tree = plain_yaml.load(path)
    if not isinstance(tree, dict):
        raise InputError(f"{path} is damaged: it holds no keys")
    return tree


def imports(folder: Path) -> list[dict[str, Any]]:
    """The user's own code that the run was made with.

    Raises:
        InputError: the file is damaged.
    """
    return read(folder / IMPORTS, list[Needed]) or []


def commands(folder: Path) -> list[dict[str, Any]]:
    """What was typed when, that the run was made with: the command that started it, then each that resumed it.

    Raises:
        InputError: the file is damaged.
    """
    return read(folder / COMMANDS, list[Typed]) or []


def add_command(folder: Path, command: str, **details: Any) -> None:
    """Note a command that starts or resumes the run, and the time.

    Raises:
        InputError: the file is damaged.
        RunError: the disk is full or cannot be written.
    """
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    noted = [*commands(folder), {"when": now, "command": command, **details}]
    files.write_atomic(folder / COMMANDS, plain_json.text(noted, indent=2).encode())


def metrics(folder: Path, growing: bool = False) -> list[dict[str, float]]:
    """The lines of ``metrics.jsonl``, the oldest first; what was no number is nan again.

    Args:
        growing: whether a last line without its end, which is just being written, is left out.

    Raises:
        InputError: the file is not there or is damaged.
    """
    path = folder / METRICS
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    lines = content.splitlines()
    if growing and not content.endswith(b"\n"):
        lines = lines[:-1]
    found = []
    for number, text in enumerate(lines, 1):
        try:
            found.append(numbers(line(text)))
        except ValueError as error:
            raise InputError(f"{path} is damaged in line {number}: {error}") from error
    return found


def line(text: bytes) -> dict[str, float | None]:
    """One of ``metrics.jsonl``.

    Raises:
        ValueError: it is none that a run has written.
    """
    plain_json.read(text, Line)
    return plain_json.read(text, dict[str, float | None])


def numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    """Metrics as they were before they became JSON, where null stands for what is no number."""
    return {key: nan if value is None else value for key, value in values.items()}


def below(root: Path) -> list[Path]:
    """Folders of runs at any depth under `root`, it included, in the order of their paths."""
    runs = (path.parent for path in root.rglob(CONFIG))
    return sorted(run for run in runs if not run.name.startswith("."))  # that one is only being made


def latest(output: Path, file: str) -> Path:
    """The newest run under a folder that has such a file.

    Raises:
        ConfigError: there is none.
    """
    runs = [run for run in below(output) if (run / file).is_file()]
    if not runs:
        raise ConfigError(f"run=latest: there is no run with a {file} under {output.absolute()}")
    return max(runs, key=lambda run: ((run / file).stat().st_mtime_ns, run.name))


def idle(output: Path) -> list[Path]:
    """Folders of runs that no process holds, the newest first."""
    runs = below(output)  # a name may have several parts
    runs.sort(key=lambda run: (os.stat(run / CONFIG).st_mtime_ns, run.name), reverse=True)
    return [run for run in runs if not in_use(run)]

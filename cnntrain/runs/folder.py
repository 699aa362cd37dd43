"""A run's folder: made once, held by one run at a time, found again by resume. Imports nothing heavy."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from math import nan
from pathlib import Path
from typing import Any

from cnntrain.core import plain_yaml
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.lock import in_use

CONFIG, RESULT, METRICS, IMPORTS = "config.yaml", "result.json", "metrics.jsonl", "imports.json"


def create(parent: Path) -> Path:
    """Make ``<parent>/<YYYYMMDD-HHMMSS>``; runs that start in the same second get -1, -2, ...

    Raises:
        InputError: the folder cannot be made.
    """
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the run's folder in {parent}: {error.strerror}; choose output=<folder>"
        ) from error
    number = 0
    while True:
        folder = parent / (f"{stamp}-{number}" if number else stamp)
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
        except OSError as error:
            raise InputError(f"cannot make {folder}: {error.strerror}; choose output=<folder>") from error


def result(folder: Path) -> dict[str, Any] | None:
    """What ``result.json`` says, or None where the run has not ended.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / RESULT
    if not path.is_file():
        return None
    try:
        ended = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    if not isinstance(ended, dict):
        raise InputError(f"{path} is damaged: it holds no keys")
    return ended


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
    if not path.is_file():
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
    path = folder / IMPORTS
    if not path.is_file():
        return []
    try:
        return [
            {**{key: str(each[key]) for key in ("word", "module", "sha256")}, "needed": bool(each["needed"])}
            for each in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is damaged: {error}") from error


def metrics(folder: Path) -> list[dict[str, float]]:
    """The lines of ``metrics.jsonl``, the oldest first; what was no number is nan again.

    Raises:
        InputError: the file is not there or is damaged.
    """
    path = folder / METRICS
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    if not all(isinstance(line, dict) for line in lines):
        raise InputError(f"{path} is damaged: a line holds no keys")
    return [numbers(line) for line in lines]


def numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    """Metrics as they were before they became JSON, where null stands for what is no number."""
    return {key: nan if value is None else value for key, value in values.items()}


def below(root: Path) -> list[Path]:
    """Folders of runs at any depth under `root`, it included, in the order of their paths."""
    return sorted(path.parent for path in root.rglob(CONFIG))


def idle(output: Path) -> list[Path]:
    """Folders of runs that no process holds, the newest first."""
    runs = below(output)  # a name may have several parts
    runs.sort(key=lambda run: (os.stat(run / CONFIG).st_mtime_ns, run.name), reverse=True)
    return [run for run in runs if not in_use(run)]

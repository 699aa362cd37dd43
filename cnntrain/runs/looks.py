"""How often a run's test part was looked at: a line a look in the run's folder, counted in ``result.json`` too.

The lines are appended, so that a look while the run is under way, or at a run that was killed, counts as well.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from cnntrain.core import plain_json
from cnntrain.core.errors import InputError
from cnntrain.core.files import write_atomic, writing
from cnntrain.core.lock import held
from cnntrain.runs import folder as folders

LOOKS = "looks.jsonl"
KEY = "test_looks"  # in result.json
UP = 2  # folders from an older checkpoint to its run


class Look(TypedDict):
    """A line of `LOOKS`.

    Attributes:
        fingerprint: of the images that were looked at; runs of early versions do not tell.
    """

    when: str
    command: str
    fingerprint: NotRequired[str]


def of(run: Path) -> list[dict[str, Any]]:
    """The looks at test so far, the oldest first.

    Raises:
        InputError: a file of the run's may not be read.
    """
    path = run / LOOKS
    try:
        return [_look(line) for line in path.read_bytes().splitlines()]
    except FileNotFoundError:
        return _own(run)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _look(line: bytes) -> dict[str, Any]:
    """One that cannot be read, as after a power cut, was a look too."""
    try:
        return plain_json.read(line, Look)
    except ValueError:
        return {"when": "", "command": ""}


def add(run: Path, command: str, fingerprint: str) -> None:
    """Note a look, and the time.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    path, now = run / LOOKS, datetime.now().astimezone().isoformat(timespec="seconds")
    looks = [] if path.exists() else _own(run)
    looks.append({"when": now, "command": command, "fingerprint": fingerprint})
    with writing(path), open(path, "ab", buffering=0) as file:  # one write: another process may append, too
        file.write("".join(f"{plain_json.text(each)}\n" for each in looks).encode())


def count(checkpoint: Path, command: str, fingerprint: str) -> None:
    """Note a look by an evaluation, in the run's folder and its result; of a checkpoint in no run's folder nothing.

    Raises:
        InputError: the run's result is damaged.
        RunError: the disk is full or cannot be written.
    """
    places = list(checkpoint.absolute().parents)[: UP + 1]
    run = next((each for each in places if (each / folders.CONFIG).is_file()), None)
    if run is None:
        return
    add(run, command, fingerprint)
    with ExitStack() as stack:
        try:
            stack.enter_context(held(run))
        except InputError:  # a training under way: its end counts the lines
            return
        result = folders.result(run)
        if result is not None:
            write_atomic(run / folders.RESULT, plain_json.text({**result, KEY: of(run)}, indent=2).encode())


def _own(run: Path) -> list[dict[str, Any]]:
    """The test at the end of a run of a version that did not count."""
    result = folders.result(run)
    if result is None or not result.get("test"):
        return []
    when = datetime.fromtimestamp((run / folders.RESULT).stat().st_mtime).astimezone().isoformat(timespec="seconds")
    return [{"when": when, "command": str(result.get("command", "")), "fingerprint": _fingerprint(result)}]


def _fingerprint(result: dict[str, Any]) -> str:
    return str((result.get("data") or {}).get("fingerprint", ""))

"""One checkpoint format: tensors and plain values in a file that is either whole or absent.

Loaded with ``weights_only=True``, so that a checkpoint from anywhere cannot run code. A digest over the content shows
a damaged file, which neither torch nor safetensors notices.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor

from cnntrain.core.digest import digest
from cnntrain.core.errors import InputError
from cnntrain.core.files import write_atomic
from cnntrain.core.shapes import unlike
from cnntrain.core.words import printable
from cnntrain.runs.folder import Needed

FORMAT = 3
LAST, BEST = "last.ckpt", "best.ckpt"


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, None, lists and dicts of these) so that `path` is never half a file.

    Raises:
        RunError: the disk is full or cannot be written; the file that was there is intact.
    """
    content = {"format": FORMAT, **state}
    buffer = io.BytesIO()
    torch.save({**content, "sha256": digest(content)}, buffer)
    write_atomic(path, buffer.getbuffer())


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        InputError: the file is missing, damaged, or no checkpoint of ours.
    """
    return verified(path, load_tensors(path))


def verified(path: Path, state: dict[str, Any]) -> dict[str, Any]:
    """What was read from `path`, without the checksum, which it matches.

    Raises:
        InputError: it is damaged, or no checkpoint of ours.
    """
    number = _format(state)
    if number is not None and number != FORMAT:
        writer = "an older" if number < FORMAT else "a newer"
        raise InputError(f"{path} is of format {number}, which {writer} cnntrain wrote; this one reads {FORMAT}")
    if state.get("format") != FORMAT or "sha256" not in state:
        raise InputError(f"{path} is not a checkpoint of cnntrain (format {FORMAT})")
    stored = state.pop("sha256")
    if digest(state) != stored:
        raise InputError(f"{path} is damaged: its content does not match its checksum")
    return state


class Reached(TypedDict):
    """What is read of a run's progress by others than the run."""

    epoch: int
    step: int
    best: dict[str, float] | None


class Configured(TypedDict):
    """What is read of a run's configuration before it is checked."""

    data: dict[str, Any]
    trainer: dict[str, Any]


class Chosen(TypedDict):
    """What a run has found out of the arithmetic that is best for it."""

    memory_format: str
    compile: str
    threads: int | None
    grad_accum: int


class Content(TypedDict):
    """What the checkpoint of a run holds."""

    config: Configured
    imports: list[Needed]
    classes: list[str]
    fingerprint: str
    places: dict[str, str]
    preprocess: dict[str, Any]
    small_stem: bool
    batch_size: int
    steps_per_epoch: int
    progress: Reached
    model: dict[str, Tensor]
    ema: dict[str, Tensor] | None
    lookahead: NotRequired[dict[str, Tensor] | None]  # since 0.2.0
    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    transfer: dict[str, Any]
    frozen: list[str]
    scaler: dict[str, Any]
    chosen: NotRequired[Chosen]


def load_run(path: Path) -> dict[str, Any]:
    """Read the checkpoint of a run, for whoever goes on with it or judges it.

    Raises:
        InputError: the file is missing, damaged, or no checkpoint of a run.
    """
    return of_run(path, load_tensors(path))


def of_run(path: Path, state: dict[str, Any]) -> dict[str, Any]:
    """What was read from `path`, as `verified` gives it, with all that a run's checkpoint holds.

    Raises:
        InputError: it is damaged, or no checkpoint of a run.
    """
    found = verified(path, state)
    problem = unlike(found, Content)
    if problem is not None:
        raise InputError(f"{path} is damaged: {problem}")
    return found


def is_older(path: Path) -> bool:
    """Whether an older cnntrain wrote this checkpoint, in a format that is not read any more.

    Raises:
        InputError: the file is missing or damaged.
    """
    number = _format(load_tensors(path))
    return number is not None and number < FORMAT


def _format(state: Mapping[str, Any]) -> int | None:
    """The number of a checkpoint's format; None of what is no checkpoint of ours."""
    number = state.get("format")
    return number if "sha256" in state and isinstance(number, int) else None


def eval_weights(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights that a checkpoint's run evaluated: the moving average where it kept one."""
    return state["ema"] or state["model"]


def load_tensors(path: Path, allowed: Sequence[type] = ()) -> dict[str, Any]:
    """Read a file of tensors, torch's or safetensors', without running any code in it.

    Args:
        allowed: classes of which objects may be in it, too: those that only hold values.

    Raises:
        InputError: the file is missing, damaged, or holds anything but tensors and plain values.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: give a file, such as the {BEST} in a run's folder")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with torch.serialization.safe_globals(list(allowed)):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises EOFError, OSError, RuntimeError, UnpicklingError, ... without the path
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0] if lines else 'truncated file'}"
        if type(error).__name__ == "UnpicklingError":  # torch's own words tell how to run the code in it
            reason = _unpickling_problem(str(error))
        raise InputError(f"{path} cannot be read as tensors ({reason})") from error
    if not isinstance(state, dict):
        raise InputError(f"{path} holds a {type(state).__name__}, not a dict of tensors")
    return state


def _unpickling_problem(text: str) -> str:
    """Why torch did not read a file, of its own words on it."""
    found = re.search(r"(?:GLOBAL|global|class) (\w+(?:\.\w+)+)", text)
    if found is None:
        return "it is no file of torch's, or holds more than tensors and plain values"
    return (
        f"it holds a {printable(found[1])}, which is no plain value; where you trust who made it, load it in Python "
        "with weights_only off, and save its tensors alone with torch.save"
    )

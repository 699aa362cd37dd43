"""Weights for a model to start from, out of a local file with strictly matched keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cnntrain.core.errors import InputError
from cnntrain.models import auxiliary
from cnntrain.runs import checkpoint
from cnntrain.transfer.groups import classifier_modules

LISTED = 8  # mismatches of a weights file


@dataclass
class Source:
    """What a weights file holds.

    Attributes:
        preprocess: what a checkpoint of ours was trained with, else None.
        small_stem: whether that was with the stem for small images; None where the file does not say.
        classes: what its head tells apart; None where the file does not say.
    """

    path: Path
    tensors: dict[str, Any]
    preprocess: dict[str, Any] | None = None
    small_stem: bool | None = None
    classes: list[str] | None = None


def read(path: Path) -> Source:
    """Read a safetensors file, a state dict, or a checkpoint of ours.

    Raises:
        InputError: the file cannot be read, or is a checkpoint of ours that is damaged.
    """
    state = checkpoint.load_tensors(path)
    # either pair is enough: damage may have struck the name of a key
    if {"format", "sha256"} <= state.keys() or {"progress", "model"} <= state.keys():
        state = checkpoint.verified(path, state)
        return Source(path, checkpoint.eval_weights(state), state["preprocess"], state["small_stem"], state["classes"])
    inner = state.get("state_dict")
    return Source(path, inner if isinstance(inner, dict) else state)


def load(model: nn.Module, source: Source, classes: Sequence[str]) -> None:
    """Load a file's weights into `model`; only the head may differ, and auxiliary heads, which a file or a model may
    also lack. A head that is known to be for other classes than `classes` is not loaded, whatever its shape.

    Raises:
        InputError: its keys do not match; the first mismatches are listed.
    """
    path, state = source.path, source.tensors
    head = tuple(f"{name}." for name in classifier_modules(model))
    extras = tuple(f"{name}." for name in auxiliary.possible_heads(model))
    absent = tuple(each for each in extras if each[:-1] not in auxiliary.heads(model))
    may_differ = (*head, *extras)
    own = model.state_dict()
    fits, problems = {}, []
    for key, value in state.items():
        if not isinstance(value, Tensor):
            problems.append(f"{key} is a {type(value).__name__}, not a tensor")
        elif key not in own:
            if not key.startswith(absent):
                problems.append(f"{key} is not in the model")
        elif own[key].shape == value.shape:
            fits[key] = value
        elif not key.startswith(may_differ):
            problems.append(f"{key} has shape {list(value.shape)}, the model's is {list(own[key].shape)}")
    problems += [f"{key} is missing" for key in own if key not in state and not key.startswith(may_differ)]
    if problems:
        more = [f"and {len(problems) - LISTED} more"] if len(problems) > LISTED else []
        lines = "\n".join(f"  {each}" for each in [*problems[:LISTED], *more])
        raise InputError(f"model.weights={path} does not match {type(model).__name__}:\n{lines}")
    other = source.classes is not None and list(source.classes) != list(classes)
    for new in [head, *((each,) for each in extras)]:
        if other or not all(key in fits for key in own if key.startswith(new)):
            fits = {key: value for key, value in fits.items() if not key.startswith(new)}  # a new head is wholly new
    model.load_state_dict(fits, strict=False)

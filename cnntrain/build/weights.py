"""Weights for a model to start from, out of a local file with strictly matched keys."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cnntrain.build.layouts import Layout, layouts, ordered_layout
from cnntrain.config.check import section
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.models import auxiliary, new_head
from cnntrain.runs import checkpoint
from cnntrain.transfer.groups import classifier_modules

LISTED = 8  # mismatches of a weights file


@dataclass
class Source:
    """What a weights file holds.

    Attributes:
        tensors: of another tool's file the whole content, as it lies there.
        preprocess: what a checkpoint of ours was trained with, else None.
        small_stem: whether that was with the stem for small images; None where the file does not say.
        classes: what its head tells apart; None where the file does not say.
    """

    path: Path
    tensors: dict[str, Any]
    preprocess: Preprocess | None = None
    small_stem: bool | None = None
    classes: list[str] | None = None


def read(path: Path) -> Source:
    """Read a safetensors file, a state dict, or a checkpoint of ours.

    Raises:
        InputError: the file cannot be read, or is a checkpoint of ours that is damaged.
    """
    state = checkpoint.load_tensors(path, allowed=[Namespace])  # timm's checkpoints hold what was typed
    # either pair is enough: damage may have struck the name of a key
    if {"format", "sha256"} <= state.keys() or {"progress", "model"} <= state.keys():
        state = checkpoint.of_run(path, state)
        seen = kept_preprocess(path, state)
        return Source(path, checkpoint.eval_weights(state), seen, state["small_stem"], state["classes"])
    return Source(path, state)


def kept_preprocess(path: Path | str, state: Mapping[str, Any]) -> Preprocess:
    """How images were seen by the run of a checkpoint.

    Raises:
        InputError: the file is damaged.
    """
    try:
        newer = {"depth": 8, "jpeg_draft": False, "sides": None}  # than some checkpoints
        return section({**newer, **state["preprocess"]}, Preprocess, "preprocess")
    except ConfigError as error:
        raise InputError(f"{path} is damaged: {error}") from error


def load(model: nn.Module, source: Source, classes: Sequence[str], by_order: bool = False) -> list[str]:
    """Load a file's weights into `model`; only the head may differ, and auxiliary heads, which a file or a model may
    also lack. A head that is known to be for other classes than `classes` is not loaded, whatever its shape.

    Args:
        by_order: whether tensors under names that are not the model's are taken for those at the same places.

    Returns:
        Lines on how they are not as the file has them: a nesting or a prefix that is left out, say.

    Raises:
        InputError: its keys do not match; the first mismatches are listed, or that its order would.
    """
    own = model.state_dict()
    tried = []
    for layout in layouts(source.tensors, own):
        problems = _mismatches(model, own, layout.tensors)
        if not problems:
            return _loaded(model, own, layout, source, classes)
        tried.append(problems)
    try:
        layout = ordered_layout(source.tensors, own, lambda name: name.startswith(_heads(model)))
    except ValueError as error:
        if by_order:
            raise InputError(f"model.weights={source.path}: model.weights_match=order: {error}") from error
        raise _unlike(model, source, min(tried, key=len)) from error
    if not by_order:
        raise InputError(
            f"model.weights={source.path} has other names than {type(model).__name__}, but the same "
            f"{len(layout.tensors)} tensors in the same order and shapes: model.weights_match=order loads it"
        )
    return _loaded(model, own, layout, source, classes)


def _unlike(model: nn.Module, source: Source, problems: Sequence[str]) -> InputError:
    more = [f"and {len(problems) - LISTED} more"] if len(problems) > LISTED else []
    if any(".running_" in each for each in problems):
        more.append("batch norms have running statistics, those of another model.norm= have none")
    lines = "\n".join(f"  {each}" for each in [*problems[:LISTED], *more])
    return InputError(f"model.weights={source.path} does not match {type(model).__name__}:\n{lines}")


def _loaded(
    model: nn.Module, own: Mapping[str, Tensor], layout: Layout, source: Source, classes: Sequence[str]
) -> list[str]:
    _load(model, own, layout.tensors, source.classes is not None and list(source.classes) != list(classes))
    return [f"{source.path}: {each}" for each in layout.notes]


def _heads(model: nn.Module) -> tuple[str, ...]:
    """What the names of the tensors of classifiers begin with, auxiliary ones that the model may lack among them."""
    return tuple(f"{name}." for name in (*classifier_modules(model), *auxiliary.possible_heads(model)))


def _mismatches(model: nn.Module, own: Mapping[str, Tensor], state: Mapping[str, Any]) -> list[str]:
    """What does not fit, in words."""
    may_differ = _heads(model)
    absent = tuple(f"{each}." for each in auxiliary.possible_heads(model) if each not in auxiliary.heads(model))
    of_another_kind = tuple(f"{each}." for each in classifier_modules(model))
    problems = []
    for key, value in state.items():
        if not isinstance(value, Tensor):
            problems.append(f"{key} is a {type(value).__name__}, not a tensor")
        elif key not in own:
            if not key.startswith((*absent, *of_another_kind)):
                problems.append(f"{key} is not in the model")
        elif own[key].shape != value.shape and not key.startswith(may_differ):
            problems.append(f"{key} has shape {list(value.shape)}, the model's is {list(own[key].shape)}")
    return problems + [f"{key} is missing" for key in own if key not in state and not key.startswith(may_differ)]


def _load(model: nn.Module, own: Mapping[str, Tensor], state: Mapping[str, Tensor], other: bool) -> None:
    """Load what fits; a new head is wholly new, but of a detector's what has nothing to do with classes.

    Args:
        other: whether the head is known to be for other classes.
    """
    fits = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    new: list[str] = []
    for heads in [classifier_modules(model), *([each] for each in auxiliary.heads(model))]:
        names = tuple(f"{each}." for each in heads)
        missing = [key for key in own if key.startswith(names) and key not in fits]
        if other or missing:
            heads = _of_classes(model, heads, missing)
            names = tuple(f"{each}." for each in heads)
            fits = {key: value for key, value in fits.items() if not key.startswith(names)}
            new += heads
    model.load_state_dict(fits, strict=False)
    new_head.begin(model, new)


def _of_classes(model: nn.Module, heads: list[str], missing: Sequence[str]) -> list[str]:
    """Of heads that do not fit what is new: where the network says what in them is of classes, that alone, unless more
    is missing."""
    found = [each for each in getattr(model, "of_classes", ()) if each.startswith(tuple(f"{head}." for head in heads))]
    names = tuple(f"{each}." for each in found)
    return found if found and all(key.startswith(names) for key in missing) else heads


def begin_published(model: nn.Module) -> None:
    """Give a model with published weights its new heads, where it is for another number of classes than these are."""
    settings: Any = model
    if settings.num_classes != settings.pretrained_cfg["num_classes"]:
        new_head.begin(model, [*classifier_modules(model), *auxiliary.heads(model)])

"""State dicts as other tools lay them out: below a name, with a prefix before each key, with older names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch
from timm.models import adapt_input_conv
from torch import Tensor

from cnntrain.build.published_names import ours
from cnntrain.models.ordering import COUNT, in_order

VARIANCE = ".running_var"
ADDED = 1e-5  # by torch's batch norms; torchvision sets 0 in its detectors with published weights
NESTINGS = ("state_dict_ema", "model_ema", "state_dict", "model")  # timm's order: the average comes first
# DenseNet's layers before torch 0.4: "norm.1" became "norm1"
OLD_DENSE = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\.\w+)")


@dataclass
class Layout:
    """One reading of a file.

    Attributes:
        tensors: by the model's keys, if this reading is right.
        notes: lines on how it differs from the file.
    """

    tensors: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def layouts(state: Mapping[str, Any], own: Mapping[str, Tensor]) -> Iterator[Layout]:
    """The readings of a file's content, the most likely first.

    Args:
        own: what the model has.
    """
    for nested in _nested(state):
        for prefix in _prefixes(nested.tensors):
            tensors = {key.removeprefix(prefix): value for key, value in nested.tensors.items()}
            notes = [*nested.notes, *([f"without the prefix {prefix!r} of its keys"] if prefix else [])]
            yield _converted(Layout(tensors, notes), own)


def ordered_layout(state: Mapping[str, Any], own: Mapping[str, Tensor], may_differ: Callable[[str], bool]) -> Layout:
    """The reading of a file whose tensors have other names, but the model's order and shapes.

    Args:
        may_differ: whether a tensor of the model's is of a head, and so may have another shape.

    Raises:
        ValueError: there is none; the message says what differs.
    """

    def fits(name: str, value: Tensor) -> bool:
        return value.shape == own[name].shape or may_differ(name) or _sees_other_channels(value, own[name])

    reasons: list[ValueError] = []
    for nested in _nested(state):
        try:
            tensors = in_order(nested.tensors, own, fits)
        except ValueError as error:
            reasons.append(error)
        else:
            return _converted(Layout(tensors, [*nested.notes, "by order: its names are not the model's"]), own)
    raise reasons[0]


def _nested(state: Mapping[str, Any]) -> Iterator[Layout]:
    """What stands under a name of its own, then the content itself."""
    inner = {key: value for key, value in state.items() if isinstance(value, Mapping) and _holds_tensors(value)}
    for name in sorted(inner, key=lambda each: NESTINGS.index(each) if each in NESTINGS else len(NESTINGS)):
        yield Layout(dict(inner[name]), [f"what is under {name!r}"])
    yield Layout(dict(state))


def _holds_tensors(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(key, str) for key in value) and any(isinstance(each, Tensor) for each in value.values())


def _prefixes(tensors: Mapping[str, Any]) -> list[str]:
    """None, and all that every key begins with, such as ``module.`` and ``module._orig_mod.``."""
    paths = zip(*(key.split(".")[:-1] for key in tensors))  # noqa: B905 (some keys are longer)
    parts = [names[0] for names in takewhile(lambda names: len({*names}) == 1, paths)]
    return ["".join(f"{each}." for each in parts[:count]) for count in range(len(parts) + 1)]


def _converted(layout: Layout, own: Mapping[str, Tensor]) -> Layout:
    """With the model's names and channels, where only a known conversion is between them."""
    tensors, notes = layout.tensors, list(layout.notes)
    renamed = {key: OLD_DENSE.sub(r"\1\2", key) for key in tensors if key not in own}
    renamed = {key: name for key, name in renamed.items() if name != key and name in own}
    if renamed:
        tensors = {renamed.get(key, key): value for key, value in tensors.items()}
        notes.append("with DenseNet's newer names, norm1 for norm.1")
    tensors = _of_detector(tensors, own, notes)
    for key in [key for key, value in tensors.items() if _sees_other_channels(value, own.get(key))]:
        channels = own[key].shape[1]
        tensors = {**tensors, key: adapt_input_conv(channels, tensors[key])}
        how = "summed over the colours, for grey images" if channels == 1 else as_timm(channels)
        notes.append(f"{key} {how}")
    counts = [key for key in own if key.endswith(COUNT)]
    if counts and not any(key.endswith(COUNT) for key in tensors):
        tensors = {**tensors, **{key: torch.zeros_like(own[key]) for key in counts}}
        notes.append(f"{COUNT} of BatchNorm, which it lacks, from 0")
    return Layout(tensors, notes)


def _of_detector(tensors: dict[str, Any], own: Mapping[str, Tensor], notes: list[str]) -> dict[str, Any]:
    """With our names where torchvision's are those of one of its detectors."""
    renamed = {key: ours(key) for key in tensors}
    if not any(name != key and name in own for key, name in renamed.items()):
        return tensors
    notes.append("with torchvision's names of a detector's parts as ours")
    found = {renamed[key]: value for key, value in tensors.items()}
    if not any(key.endswith(COUNT) for key in found):
        notes.append(f"batch norms that were fixed, with nothing added to the variance, where ours add {ADDED:g}")
        found = {key: value - ADDED if key.endswith(VARIANCE) else value for key, value in found.items()}
    return found


def as_timm(channels: int) -> str:
    """In words what timm makes of weights for RGB, for images of other channels."""
    return f"repeated over the {channels} channels in the order red, green, blue, and scaled by 3/{channels}"


def _sees_other_channels(value: Any, own: Tensor | None) -> bool:
    """Whether a first convolution sees RGB in the file and other channels in the model, and is the same otherwise."""
    if not isinstance(value, Tensor) or own is None or value.ndim != 4 or own.ndim != 4:
        return False
    (out, depth, *size), (own_out, own_depth, *own_size) = value.shape, own.shape
    of_an_image = own_depth == 1 or size[0] > 1  # a pointwise one within a network may have any depths
    return (out, depth, size) == (own_out, 3, own_size) and own_depth != 3 and of_an_image

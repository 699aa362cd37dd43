"""Targets of any structure: tensors, or lists and dicts of such."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torchvision import tv_tensors


def each_of(change: Callable[[Tensor], Tensor], targets: Any) -> Any:
    """The same with each tensor changed; what is no tensor, such as words, as it is."""
    return change(targets) if isinstance(targets, Tensor) else pytree.tree_map_only(Tensor, change, targets)


def plain(targets: Any) -> Any:
    """Without torchvision's kinds of tensors, which neither a stack nor a copy to a GPU keeps."""
    return pytree.tree_map_only(tv_tensors.TVTensor, lambda each: each.as_subclass(Tensor), targets)


def sent(targets: Any, device: torch.device) -> Any:
    return each_of(lambda each: each.to(device, non_blocking=True), targets)


def taken(targets: Any, index: Any) -> Any:
    """Of a batch's targets those of some samples."""
    return each_of(lambda each: each[index], targets)


def tensors(targets: Any) -> list[Tensor]:
    """In the order of the structure."""
    return [each for each in pytree.tree_leaves(targets) if isinstance(each, Tensor)]


def like(targets: Any, found: list[Tensor]) -> Any:
    """The structure of `targets` with other tensors in it, in the order of `tensors`."""
    _, structure = pytree.tree_flatten(targets)
    return pytree.tree_unflatten(found, structure)

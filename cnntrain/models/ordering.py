"""Tensors of another project's file under the model's names: the same ones in the same order and shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

COUNT = "num_batches_tracked"  # of BatchNorm, which torch before 0.4.1 did not save; only momentum=None reads it
# what torch calls the tensors of a layer: two such names that differ are different tensors, whatever their shapes
ROLES = frozenset({"weight", "bias", "running_mean", "running_var", COUNT})


def in_order(
    tensors: Mapping[str, Any], own: Mapping[str, Tensor], fits: Callable[[str, Tensor], bool]
) -> dict[str, Tensor]:
    """The tensors by the model's names, each by its place; those that count batches may be missing altogether.

    Args:
        own: what the model has.
        fits: whether a tensor can stand under a name of the model's.

    Raises:
        ValueError: the order cannot be the model's; the message says from which tensor on.
    """
    names = list(own)
    if not any(key.endswith(COUNT) for key in tensors):
        names = [key for key in names if not key.endswith(COUNT)]
    for key, name in zip(tensors, names, strict=False):
        value, where = tensors[key], f"the file's {key} would be the model's {name}"
        if not isinstance(value, Tensor):
            raise ValueError(f"{key} is a {type(value).__name__}, not a tensor")
        if key in own and key != name:
            raise ValueError(f"{where}, which has a {key} at another place")
        if not fits(name, value):
            raise ValueError(f"{where}, but their shapes are {list(value.shape)} and {list(own[name].shape)}")
        if len({key.rpartition(".")[2], name.rpartition(".")[2]} & ROLES) > 1:
            raise ValueError(f"{where}, which is another kind of tensor")
        if value.is_floating_point() != own[name].is_floating_point():
            raise ValueError(f"{where}, but their types are {value.dtype} and {own[name].dtype}")
    if len(tensors) != len(names):
        raise ValueError(f"the file has {len(tensors)} tensors, the model {len(names)}")
    return dict(zip(names, tensors.values(), strict=True))

"""Masks and boxes that go along with their images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors

from cnntrain.core.targets import IGNORE

OUTSIDE = 256 - IGNORE  # of 8 bits: added, what is ignored is 0, as what comes from outside is


def along(targets: Any, move: Callable[[Tensor], Tensor], objects: Callable[[Any], Any] = lambda found: found) -> Any:
    """Masks [samples, height, width] as `move` moves images [samples, 1, height, width], boxes and their labels, dicts
    of such, by `objects`; other targets as they are.

    What lies outside of the image becomes black, and in masks of uint8 it is ignored.
    """
    if isinstance(targets, dict):
        return objects({name: along(each, move) for name, each in targets.items()})
    if not isinstance(targets, tv_tensors.Mask):
        return targets
    plain = targets.as_subclass(Tensor)
    if plain.dtype != torch.uint8:
        return tv_tensors.Mask(move(plain.unsqueeze(1)).squeeze(1))
    return tv_tensors.Mask(move((plain + OUTSIDE).unsqueeze(1)).squeeze(1) - OUTSIDE)

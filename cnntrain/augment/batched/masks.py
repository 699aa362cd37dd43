"""Masks that go along with their images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torchvision import tv_tensors


def along(targets: Any, move: Callable[[Tensor], Tensor]) -> Any:
    """Masks [samples, height, width] as `move` moves images [samples, 1, height, width]; other targets as they are."""
    if not isinstance(targets, tv_tensors.Mask):
        return targets
    plain = targets.as_subclass(Tensor)
    return tv_tensors.Mask(move(plain.unsqueeze(1)).squeeze(1))

"""Floating-point values to whole numbers of a type's range."""

from __future__ import annotations

import torch
from torch import Tensor


def rounded(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Floating-point values to the nearest whole numbers of an unsigned type; whole numbers as they are."""
    if not values.is_floating_point():
        return values
    return values.round().clamp(0, torch.iinfo(dtype).max).to(dtype)

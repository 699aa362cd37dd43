"""The arithmetic of a run."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    pass


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """The context of a forward pass: autocast for the half precisions, else nothing."""
    if precision in ("float32", "float64"):
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))

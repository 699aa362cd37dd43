"""Numbers that every batch needs, on its device."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=32)  # a copy to a GPU for each batch would wait for it
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A vector; not to be changed."""
    return torch.tensor(values, dtype=dtype, device=device)

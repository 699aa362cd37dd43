"""A digest of a tree of tensors and plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def digest(value: Any) -> str:
    """Hex sha256 over a tree of tensors and plain values; dicts in key order."""
    sha = hashlib.sha256()
    _update(sha, value)
    return sha.hexdigest()


def _update(sha: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        data = value.detach().cpu().contiguous()
        sha.update(f"tensor {data.dtype} {tuple(data.shape)}".encode())
        sha.update(data.reshape(-1).view(torch.uint8).numpy())
    elif isinstance(value, Mapping):
        sha.update(f"dict {len(value)};".encode())
        for key in sorted(value, key=str):
            sha.update(f"{key!r};".encode())
            _update(sha, value[key])
    elif isinstance(value, (list, tuple)):
        sha.update(f"list {len(value)};".encode())
        for each in value:
            _update(sha, each)
    else:
        sha.update(f"{value!r};".encode())  # the separator tells [1, 23] from [12, 3]

"""Packages that only some sources need."""

from __future__ import annotations

from typing import Any

from cnntrain.core import extras
from cnntrain.data.base import Data


def needed(source: Data, module: str, extra: str) -> Any:
    """As `extras.needed`, for a source."""
    return extras.needed(f"data={source.name}", module, extra)

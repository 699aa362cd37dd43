"""Sources as a user gets them: the YAML's values with a few changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from composing import composed
from PIL import Image

from cnntrain.config.check import section
from cnntrain.config.groups import plugin_class
from cnntrain.data.base import Data


@cache
def values_of(name: str) -> dict[str, Any]:
    """What the source's YAML says, and the one that it inherits."""
    return composed([f"data={name}"])["data"]


def make_source(name: str, **changes: Any) -> Data:
    """The source, checked as the command line checks it."""
    values = {**values_of(name), **changes}
    return section(values, plugin_class("data", values["source"] or name), "data")


def write_image(path: Path, value: int = 0, size: tuple[int, int] = (5, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), value, dtype=np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def make() -> Callable[..., Data]:
    return make_source


@pytest.fixture
def draw() -> Callable[..., Path]:
    return write_image

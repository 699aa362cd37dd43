"""Sources as a user gets them: the YAML's values with a few changed."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from cnntrain.data.base import Data

CONFIGS = Path(__file__).parents[2] / "configs" / "data"


def source_class(name: str) -> type[Data]:
    """The one class of the source's file, as the command line finds it."""
    module = importlib.import_module(f"cnntrain.data.{name}")
    own = [value for value in vars(module).values() if inspect.isclass(value) and value.__module__ == module.__name__]
    (found,) = (value for value in own if issubclass(value, Data))
    return found


def make_source(name: str, **changes: Any) -> Data:
    values = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"))
    assert isinstance(values, dict)
    return source_class(name)(**{**values, **changes})


def write_image(path: Path, value: int = 0, size: tuple[int, int] = (5, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), value, dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def make() -> Callable[..., Data]:
    return make_source


@pytest.fixture
def draw() -> Callable[..., Path]:
    return write_image

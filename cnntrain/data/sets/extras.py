"""Packages that only some sources need."""

from __future__ import annotations

import importlib
from typing import Any

from cnntrain.core.errors import ConfigError
from cnntrain.data.base import Data


def needed(source: Data, module: str, extra: str) -> Any:
    """A module of a package that comes with the extra of that name.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:  # it is there, and lacks something of its own
            raise
        raise ConfigError(
            f"data={source.name} needs the package {error.name}, which is not installed: "
            f'pip install "cnntrain[{extra}]"'
        ) from error

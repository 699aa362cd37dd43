"""Packages that only some commands or data need."""

from __future__ import annotations

import importlib
from typing import Any

from cnntrain.core.errors import ConfigError

ONNX = ("onnx", "onnxscript", "onnxruntime")  # modules that the extra "export" brings


def needed_for_onnx(what: str) -> None:
    """Raises ConfigError where one of the packages for ONNX is not installed, which `what` needs."""
    for each in ONNX:
        needed(what, each, "export")


def needed(what: str, module: str, extra: str) -> Any:
    """A module of a package that comes with the extra of that name.

    Args:
        what: needs it, as it is typed.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:  # it is there, and lacks something of its own
            raise
        raise ConfigError(
            f'{what} needs the package {error.name}, which is not installed: pip install "cnntrain[{extra}]"'
        ) from error

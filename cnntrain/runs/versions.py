"""What a run was made with."""

from __future__ import annotations

import platform

import timm
import torch
import torchvision

from cnntrain.core.version import __version__


def versions() -> dict[str, str]:
    return {
        "cnntrain": __version__,
        "python": platform.python_version(),
        **{library.__name__: str(library.__version__) for library in (torch, torchvision, timm)},
    }

"""Where things are kept on a user's machine."""

from __future__ import annotations

import os
from pathlib import Path, PurePath


def cache_home() -> Path:
    """The folder of what can be computed again: ``$XDG_CACHE_HOME/cnntrain``, or ``~/.cache/cnntrain``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "cnntrain"


def absolute(path: str) -> str:
    """The same place from whatever folder, with ``~`` for the home."""
    return str(Path(path).expanduser().absolute())


def is_below(path: str) -> bool:
    """Whether a path leads from any folder to one inside it."""
    parts = PurePath(path).parts
    return bool(parts) and not PurePath(path).is_absolute() and ".." not in parts and path.isprintable()

"""Where things are kept on a user's machine."""

from __future__ import annotations

import os
from pathlib import Path, PurePath


def expanded(path: str) -> Path:
    """With the user's home for a leading ``~``, where there is one: a process may have none, nor its user a name."""
    return Path(os.path.expanduser(path))


def cache_home() -> Path:
    """The folder of what can be computed again: ``$XDG_CACHE_HOME/cnntrain``, or ``~/.cache/cnntrain``; for who has no
    home, in the working folder."""
    home = expanded("~")
    above = os.environ.get("XDG_CACHE_HOME") or (home if home.is_absolute() else Path()) / ".cache"
    return Path(above).absolute() / "cnntrain"


def absolute(path: str) -> str:
    """The same place from whatever folder, with ``~`` for the home."""
    return str(expanded(path).absolute())


def is_below(path: str) -> bool:
    """Whether a path leads from any folder to one inside it."""
    parts = PurePath(path).parts
    return bool(parts) and not PurePath(path).is_absolute() and ".." not in parts and path.isprintable()

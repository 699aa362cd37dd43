"""Where things are kept on a user's machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache_home() -> Path:
    """The folder of what can be computed again: ``$XDG_CACHE_HOME/cnntrain``, or ``~/.cache/cnntrain``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "cnntrain"

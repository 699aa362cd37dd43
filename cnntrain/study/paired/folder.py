"""Where a comparison is left."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cnntrain.core import plain_json
from cnntrain.core.errors import InputError, RunError
from cnntrain.core.files import write_atomic
from cnntrain.study import curves
from cnntrain.study.paired import bubbles
from cnntrain.study.paired.shown import Shown
from cnntrain.study.paired.systems import System

FACTS, PICTURE = "compare.json", "compare.png"


def place(output: str | None, where: Sequence[str], systems: Sequence[System]) -> Path:
    """The folder that is asked for, else that which holds all runs.

    Args:
        where: the folders, or patterns, that were given.
    """
    if output is not None:
        return Path(output)
    if len(where) == 1 and Path(where[0]).is_dir():
        return Path(where[0])
    parents = [run.folder.parent for each in systems for run in each.runs]
    return Path(os.path.commonpath([each.absolute() for each in parents] if _mixed(parents) else parents) or ".")


def _mixed(paths: Sequence[Path]) -> bool:
    """Whether some are absolute and others not."""
    return len({each.is_absolute() for each in paths}) > 1


def write(place: Path, shown: Shown) -> bytes | None:
    """Write ``compare.json`` and, where the cost of a system is known, ``compare.png``; returns that picture.

    Raises:
        InputError: the folder cannot be written.
    """
    drawn = bubbles.figure(shown.compared.systems, shown.title)
    picture = None if drawn is None else curves.picture(drawn, "png")
    try:
        place.mkdir(parents=True, exist_ok=True)
        write_atomic(place / FACTS, plain_json.text(shown.facts(), indent=2).encode())
        if picture is not None:
            write_atomic(place / PICTURE, picture)
    except (OSError, RunError) as error:
        raise InputError(f"{error}; output=<folder> chooses another place") from error
    return picture

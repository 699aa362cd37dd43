"""The runs of a sweep, by the table in its folder. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from cnntrain.core.errors import InputError
from cnntrain.runs import folder as folders

SWEEP = "sweep.json"  # in the folder of a sweep


class Job(TypedDict):
    """A job in `SWEEP`."""

    run_dir: str | None


class Sweep(TypedDict):
    """What is read of `SWEEP`."""

    jobs: list[Job]


def below(root: Path) -> list[Path]:
    """Folders of runs at any depth under `root`, it included, in the order of their paths; of a sweep's folder those of
    its jobs, wherever they are.

    Raises:
        InputError: a sweep's table is damaged, or its runs are not where it says.
    """
    table: Sweep | None = folders.read(root / SWEEP, Sweep)
    places = [Path(each["run_dir"]) for each in table["jobs"] if each["run_dir"] is not None] if table else []
    return sorted({*folders.below(root), *(_found(each, root) for each in places)})


def _found(run: Path, root: Path) -> Path:
    """A run of a sweep; the paths in its table lead from the folder that its command was typed in, which is above it as
    a rule."""
    for above in (Path(), *root.absolute().parents):
        if (above / run / folders.CONFIG).is_file():
            return above / run
    raise InputError(f"{root / SWEEP} has the run {run}, which is not there: type this where the sweep was typed")

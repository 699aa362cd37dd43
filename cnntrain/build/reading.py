"""What commands that use the networks of runs have in common: which are named, whether they can answer as one, and a
pass over files without labels."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnntrain.build import trained
from cnntrain.build.trained import Trained
from cnntrain.config.schema import Ended
from cnntrain.core import signals
from cnntrain.core.errors import InputError
from cnntrain.core.words import tell
from cnntrain.runs import checkpoint, folder

LATEST = "latest"
Adjust = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Read = Callable[[Path, torch.device, Adjust], Trained]


def adjusting(device: str, batch_size: int | None, num_workers: int | None) -> Adjust:
    """What makes of a run's configuration that of one process on a device; None: as the run has it."""

    def adjust(tree: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = {"batch_size": batch_size, "num_workers": num_workers}
        data = {**tree["data"], **{key: value for key, value in asked.items() if value is not None}}
        trainer = {**tree["trainer"], "device": device, "grad_accum": 1}
        return {**tree, "data": data, "trainer": trainer, "devices": 1}

    return adjust


def members(
    runs: Sequence[str], below: str, device: torch.device, adjust: Adjust, read: Read = trained.read
) -> list[Trained]:
    """The networks of runs' folders, of each its best checkpoint, of checkpoints' files, or of the latest run.

    Args:
        below: the folder in which the latest run is looked for.
        read: a file.

    Raises:
        InputError: one cannot be read, or they know other classes than one another.
    """
    found = []
    for each in runs:
        place = folder.latest(Path(below), checkpoint.BEST) if each == LATEST else Path(each)
        path = place if place.is_file() else trained.best_of(place)
        found.append(read(path, device, adjust))
    require_same_classes(found)
    return found


def require_same_classes(members: Sequence[Trained]) -> None:
    """Raises InputError where networks are to answer as one that know other classes, or another number of labels."""
    for each in members[1:]:
        if each.config.task.target != members[0].config.task.target:
            raise InputError(
                f"{each.path} is of task={each.config.task.name}, {members[0].path} of {members[0].config.task.name}: "
                "they cannot answer as one"
            )
        if each.classes != members[0].classes:
            raise InputError(f"{each.path} knows other classes than {members[0].path}: they cannot answer as one")


def each_batch(
    files: Sequence[str],
    batches: Iterable[tuple[Tensor, list[str]]],
    columns: Callable[[Sequence[str], Tensor], dict[str, Any]],
    write: Callable[[dict[str, Any]], None],
    output: str | None,
) -> Ended:
    """Write the rows of each batch, without those of files that cannot be read, which are named. A signal ends it
    after a batch.

    Args:
        files: all, in the order of the batches.
        columns: of some files and their rows.
    """
    done = bad = 0
    code = 0
    with signals.handled(), _bar(len(files), output) as advance:
        for rows, problems in batches:
            good = [number for number, each in enumerate(problems) if not each]
            if good:
                write(columns([files[done + number] for number in good], rows[good]))
            for each in filter(None, problems):
                tell(f"cnntrain: {each}", sys.stderr)
            done, bad = done + len(problems), bad + len(problems) - len(good)
            advance(len(problems))
            if signals.received() is not None and done < len(files):
                code = signals.STOPPED
                break
    if code:
        tell(f"cnntrain: stopped after {done:,} of {len(files):,} images, whose rows are written", sys.stderr)
    if bad:
        tell(f"cnntrain: {bad:,} of {done:,} images cannot be read; all others have a row", sys.stderr)
    return Ended(code or int(bad > 0), output)


@contextmanager
def _bar(count: int, output: str | None) -> Iterator[Callable[[int], None]]:
    """A bar on the error stream of a terminal, unless the rows themselves are shown there."""
    if not sys.stderr.isatty() or (output is None and sys.stdout.isatty()):
        yield lambda number: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from cnntrain.core.console import console

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(sys.stderr), transient=True) as progress:
        task = progress.add_task("", total=count)
        yield lambda number: progress.advance(task, number)

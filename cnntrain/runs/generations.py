"""Checkpoints before the newest: last.ckpt and best.ckpt are often one file, and damage to it must not end a run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from cnntrain.core.errors import InputError, RunError
from cnntrain.core.files import link
from cnntrain.runs import checkpoint

OLDER = "older"  # the folder of a run in which earlier pairs are, in folders called 1, 2, ...
PAIR = (checkpoint.BEST, checkpoint.LAST)


def keep(folder: Path, number: int) -> None:
    """Before the pair is replaced, make it the newest of ``number - 1`` older ones. It takes no second room until then.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    pair = [name for name in PAIR if (folder / name).exists()]
    try:
        if number > 1 and pair:
            newest = next((int(each.name) for each in older(folder)), 0)
            place = folder / OLDER / str(newest + 1)
            temporary = place.with_name(f".{place.name}.tmp")
            shutil.rmtree(temporary, ignore_errors=True)  # of a killed run
            temporary.mkdir(parents=True)
            for name in pair:
                link(folder / name, temporary / name)
            os.replace(temporary, place)
        for each in older(folder)[number - 1 :]:
            shutil.rmtree(each)
    except OSError as error:
        raise RunError(f"cannot keep an older checkpoint in {folder / OLDER}: {error.strerror}") from error


def older(folder: Path) -> list[Path]:
    """The folders of earlier pairs, the newest first."""
    found = (each for each in (folder / OLDER).glob("[0-9]*") if each.name.isdigit())
    return sorted(found, key=lambda each: int(each.name), reverse=True)


def load(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The state of the newest pair that is whole, which becomes last.ckpt and best.ckpt, and a line where it was not.
    Without any checkpoint there is none. Only the holder of the folder's lock may call this.

    Raises:
        InputError: last.ckpt is damaged, and there is no whole pair.
    """
    problem, places = None, [folder, *older(folder)]
    for number, place in enumerate(places):
        try:
            state = _whole(place)
        except InputError as error:
            problem = problem or error
            continue
        if place == folder:
            return state, []
        for name in PAIR:
            if (place / name).exists():
                link(place / name, folder / name)
        for each in places[1 : number + 1]:  # the newest is not one of the older, nor is what is damaged
            shutil.rmtree(each)
        progress = state["progress"]
        return state, [f"note: {problem}; the checkpoint before it is taken, of epoch {progress['epoch']}"]
    last = folder / checkpoint.LAST
    return checkpoint.load_run(last) if last.exists() else None, []


def _whole(folder: Path) -> dict[str, Any]:
    """The state of a pair.

    Raises:
        InputError: a file is missing or damaged, or the best is not that which the last one names.
    """
    last, best = folder / checkpoint.LAST, folder / checkpoint.BEST
    state = checkpoint.load_run(last)
    named = state["progress"]["best"]
    if named is not None and not (best.exists() and best.samefile(last)):
        found = checkpoint.load_run(best)["progress"]["best"]
        if found != named:  # killed between the two
            raise InputError(f"{best} is of epoch {found and found['epoch']}, {last} names epoch {named['epoch']}")
    return state

"""Which networks answer as one, or are averaged: those of a sweep, of a folder of runs, or of runs that are named, and
of them the best, by what they have reached on val. Test has no say in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from cnntrain.build import judging, trained
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.words import listed
from cnntrain.runs import folder as folders
from cnntrain.runs import predictions, swept
from cnntrain.runs.predictions import PREDICTIONS
from cnntrain.search import outcomes
from cnntrain.search.outcomes import FINISHED, Outcome


def checkpoints(places: Sequence[Path], ensemble: bool, average: bool, best: int | None) -> list[Path]:
    """The files of networks.

    Args:
        places: folders of runs, of many runs or of sweeps, or files.
        average: of one run it is that of the checkpoints that it keeps.
        best: so many; None: all.

    Raises:
        ConfigError: there are several runs, and nothing says what is to be made of them.
        InputError: there are too few.
    """
    runs = [run for each in places for run in _runs(each, ensemble or average)]
    if len(runs) == 1 and ensemble:
        raise InputError(f"ensemble=true is of several runs, and {runs[0]} is one: give run=[a,b]")
    if len(runs) > 1 and best is not None:
        runs = best_of(runs, best)
    if len(runs) > 1 or not average:
        return [each if each.is_file() else trained.best_of(each) for each in runs]
    kept, needed = judging.kept(runs[0]), max(2, best or 0)
    if len(kept) < needed:
        raise InputError(
            f"{runs[0]} keeps {len(kept)} checkpoints, of which there is no average"
            + (f" of {needed}" if needed > 2 else "")
            + f": a run with checkpoint.keep={max(5, needed)} keeps more"
        )
    return kept


def _runs(place: Path, combined: bool) -> list[Path]:
    """The finished runs of a folder of runs; of a run itself, a file or what is neither, that alone."""
    runs = [] if not place.is_dir() or (place / folders.CONFIG).is_file() else swept.below(place)
    if not runs:
        return [place]
    finished = [each for each in runs if folders.is_finished(each)]
    if not finished:
        raise InputError(f"{place} has no finished run")
    if not combined:
        raise ConfigError(
            f"{place} is a folder of {len(finished)} finished runs: give one of them, or add ensemble=true to let them "
            "answer as one, or average=greedy to average their weights"
        )
    return finished


def best_of(runs: Sequence[Path], count: int) -> list[Path]:
    """So many runs with the best value of the metric by which each chose its best epoch, the best first; of equal ones
    the first.

    Raises:
        InputError: there are fewer that have finished, or their values cannot be held against each other.
    """
    found = [_outcome(each) for each in runs]
    if len(found) < count:
        raise InputError(f"best={count}: there are only {len(found)} finished runs")
    for each in found[1:]:
        if each.metric != found[0].metric:
            raise InputError(
                f"best={count}: {found[0].run} chose by {found[0].metric} and {each.run} by {each.metric}, which tell "
                "nothing of which is better"
            )
    _require_one_val(found, count)
    column = found[0].column
    ranked = sorted(found, key=lambda each: cast(float, each.value), reverse=column.greater_is_better)
    return [each.run for each in ranked[:count]]


def _outcome(run: Path) -> Outcome:
    found = outcomes.read(run)
    if found is None or found.status != FINISHED or found.value is None:
        raise InputError(f"{run} is no finished run's folder, so that val cannot tell how good it is: leave best out")
    return found


def _require_one_val(found: Sequence[Outcome], count: int) -> None:
    """Raises InputError where runs were not judged by the same images, as in a cross-validation."""
    first, *others = found
    ids = sorted(predictions.read(first.run / "val" / PREDICTIONS).ids)
    for each in others:
        mine = sorted(predictions.read(each.run / "val" / PREDICTIONS).ids)
        if mine != ids:
            differ = sorted({*mine} ^ {*ids})
            raise InputError(
                f"best={count}: {first.run} and {each.run} were judged by other images of val ({listed(differ, 3)}), "
                "so that their values cannot be compared: leave best out"
            )

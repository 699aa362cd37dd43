"""Finished runs as systems: those that differ in their seeds alone are one. All answered to the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.core.errors import InputError
from cnntrain.core.words import listed
from cnntrain.runs import folder as folders
from cnntrain.runs import history, looks, predictions
from cnntrain.runs.history import Finished
from cnntrain.runs.predictions import PREDICTIONS, Predictions
from cnntrain.study.comparison import differing, short, telling, written

SEED = "seed"
# keys that change a set's fingerprint, and of which ids and labels tell whether they changed this part
DIVIDING = ("data.train_per_class", "data.channels", "data.depth", "data.split", "data.split_seed")
SHOWN = 3  # ids in a message


@dataclass(frozen=True)
class System:
    """Runs of one configuration, by ascending seed.

    Attributes:
        name: what tells it from the others: the keys in which they differ.
        right: bool [runs, n], the samples in one order for all systems.
        looks: of each run, how often the part was looked at; empty of other parts than test.
    """

    name: str
    runs: Sequence[Finished]
    right: np.ndarray
    looks: Sequence[int]

    @property
    def accuracies(self) -> list[float]:
        """Of each run."""
        return self.right.mean(1).tolist()

    @property
    def mean(self) -> float:
        return float(self.right.mean())

    def figure(self, name: str) -> int | None:
        """One of the network: ``params`` or ``macs``; None where its run does not tell."""
        found = ((folders.result(self.runs[0].folder) or {}).get("model") or {}).get(name)
        return found if isinstance(found, int) else None


@dataclass(frozen=True)
class Compared:
    """What was read.

    Attributes:
        systems: the most accurate first.
        ids: of the samples.
        settings: by the keys in which systems differ, the value of each system, as it is typed.
        left_out: why, by the folder.
    """

    systems: Sequence[System]
    ids: Sequence[str]
    settings: Mapping[str, Sequence[str]]
    left_out: Mapping[str, str]
    notes: Sequence[str] = ()


@dataclass
class _Answered:
    """A run, and what it answered: which samples are right, in the order of the first run's."""

    run: Finished
    right: np.ndarray
    looks: int


@dataclass
class _Samples:
    """What all runs must have answered to.

    Attributes:
        truth: names of the labels [n]; of several labels a sample bool [n, classes], by ascending name.
    """

    run: Finished
    ids: Sequence[str]
    classes: list[str]
    truth: np.ndarray
    fingerprint: Any

    @classmethod
    def of(cls, run: Finished, found: Predictions) -> _Samples:
        return cls(run, found.ids, sorted(found.classes), _truth(found), found.about.get("fingerprint"))

    def order(self, run: Finished, found: Predictions) -> np.ndarray | slice:
        """The positions in `found` of these samples.

        Raises:
            InputError: its samples are others.
        """
        order: np.ndarray | slice = slice(None)
        if list(found.ids) != list(self.ids):
            place = {id_: position for position, id_ in enumerate(found.ids)}
            mine = set(self.ids)
            for what, ids in (("lacks", mine - place.keys()), ("has besides", place.keys() - mine)):
                if ids:
                    self._refuse(run, f"{run.folder} {what} {len(ids):,}: {listed(sorted(ids), SHOWN)}")
            order = np.array([place[id_] for id_ in self.ids])
        truth = _truth(found)[order]
        if sorted(found.classes) != self.classes:
            names = sorted(set(found.classes) ^ set(self.classes))
            self._refuse(run, f"their classes differ: {listed(names, SHOWN)}")
        wrong = truth != self.truth
        other = np.flatnonzero(wrong if wrong.ndim == 1 else wrong.any(1))
        if len(other):
            names = [self.ids[each] for each in other.tolist()]
            self._refuse(run, f"{len(names):,} have other labels: {listed(names, SHOWN)}")
        if found.about.get("fingerprint") != self.fingerprint and not self._divides(run):
            self._refuse(run, "the fingerprints of their data differ: files were changed, or are of another set")
        return order

    def _divides(self, run: Finished) -> bool:
        return any(written(run, key) != written(self.run, key) for key in DIVIDING)

    def _refuse(self, run: Finished, why: str) -> None:
        raise InputError(
            f"{self.run.folder} and {run.folder} answered to different samples, which cannot be compared; {why}"
        )


def _truth(found: Predictions) -> np.ndarray:
    if found.labels.ndim == 1:
        return np.asarray(found.classes)[found.labels]
    return found.labels[:, np.argsort(found.classes)]


def right(found: Predictions) -> np.ndarray:
    """bool [n]: whether the likeliest class is the label; of several labels a sample, whether all of them are given
    and no other."""
    if found.labels.ndim == 1:
        return found.logits.argmax(1) == found.labels
    return ((found.logits > 0) == found.labels).all(1)


def read(where: Sequence[str], part: str) -> Compared:
    """The runs below folders, or those that patterns match.

    Raises:
        InputError: fewer than two have answers to this part, or they are to different samples.
    """
    runs: dict[Path, Finished] = {}
    left_out: dict[str, str] = {}
    for each in where:
        found, unfinished = history.read(each)
        runs |= {run.folder.resolve(): run for run in found}
        left_out |= unfinished
    answered: list[_Answered] = []
    samples: _Samples | None = None
    for run in sorted(runs.values(), key=lambda each: (each.folder / folders.CONFIG).stat().st_mtime_ns):
        path = run.folder / part / PREDICTIONS
        if not path.is_file():
            left_out[str(run.folder)] = f"has no {part}/{PREDICTIONS}"
            continue
        answers = predictions.read(path)
        samples = samples or _Samples.of(run, answers)
        order = samples.order(run, answers)
        answered.append(_Answered(run, right(answers)[order], _looks(run, part, answers)))
    if samples is None or len(answered) < 2:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in left_out.items())
        raise InputError(f"runs={','.join(where)}: two runs at least are compared, not {len(answered)}{reasons}")
    systems = _systems(answered, left_out)
    notes = _notes(systems, part)
    if samples.truth.ndim == 2:
        notes.insert(0, "an image counts as right where all of its labels are given, and no other")
    return Compared(systems, samples.ids, _settings(systems), left_out, notes)


def _looks(run: Finished, part: str, answers: Predictions) -> int:
    """How often the samples of `answers` were looked at."""
    if part != "test":
        return 0
    mine = answers.about.get("fingerprint")
    return sum(each.get("fingerprint", mine) == mine for each in looks.of(run.folder))


def _systems(answered: Sequence[_Answered], left_out: dict[str, str]) -> list[System]:
    """The most accurate first; of runs of one seed the newest counts, for they are no two draws."""
    groups: dict[tuple[str, ...], dict[Any, _Answered]] = {}
    keys = [key for key in differing([[each.run for each in answered]]) if key != SEED]
    for each in answered:
        group = groups.setdefault(tuple(written(each.run, key) for key in keys), {})
        before = group.get(each.run.config.get(SEED))
        if before is not None:
            left_out[str(before.run.folder)] = f"of the configuration and the seed of {each.run.folder}, which is newer"
        group[each.run.config.get(SEED)] = each
    first = [next(iter(group.values())).run for group in groups.values()]
    named = telling(keys, [first])
    found = []
    for run, group in zip(first, groups.values(), strict=True):
        members = [group[seed] for seed in sorted(group, key=str)]
        rows = np.stack([each.right for each in members])
        found.append(System(_name(run, named), [m.run for m in members], rows, [m.looks for m in members]))
    return sorted(found, key=lambda each: -each.mean)


def _name(run: Finished, keys: Sequence[str]) -> str:
    """Of choices such as the model their names alone."""
    if not keys:
        return written(run, "model.name")
    return ", ".join(written(run, key) if short(key) != key else f"{key}={written(run, key)}" for key in keys)


def _settings(systems: Sequence[System]) -> dict[str, list[str]]:
    """Empty of a system that has no such key."""
    runs = [each.runs[0] for each in systems]
    keys = [key for key in differing([runs]) if key != SEED]
    inner = [key for key in keys if not any(each.startswith(f"{key}.") for each in keys)]
    return {key: [written(run, key) if key in run.config else "" for run in runs] for key in inner}


def _notes(systems: Sequence[System], part: str) -> list[str]:
    """What a reader of the numbers must know."""
    lines = []
    alone = [each.name for each in systems if len(each.runs) == 1]
    if len(alone) == len(systems):
        lines.append("of one run each: these very networks are compared, and what their seeds matter is not known")
    elif alone:
        lines.append(f"of one run, and taken to vary with its seed as the other does: {listed(alone)}")
    if part == "test":
        total = sum(sum(each.looks) for each in systems)
        lines.append(f"the test part was looked at {total:,} times by these {sum(len(s.runs) for s in systems)} runs")
        if len(systems) > 2:
            lines.append("whoever takes the best of these has chosen by test: part=val chooses")
    else:
        lines.append("the best epochs were chosen by val, so the accuracies on it are rather too high")
    return lines

"""What a sweep comes to: of each configuration the mean over seeds of its best epoch on val, and which is best."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from cnntrain.core import plain_json, tables
from cnntrain.core.files import write_atomic
from cnntrain.runs.swept import SWEEP
from cnntrain.search.jobs import Job
from cnntrain.search.outcomes import FINISHED
from cnntrain.tasks.base import Column, is_better

CSV = "sweep.csv"
SEED = "seed"  # over which is averaged


@dataclass(frozen=True)
class Group:
    """The jobs that differ in nothing but the seed."""

    varied: dict[str, str]
    jobs: Sequence[Job]

    @property
    def values(self) -> list[float]:
        """Of the finished ones, where they are numbers."""
        found = [each.outcome.value for each in self.jobs if each.status == FINISHED and each.outcome is not None]
        return [each for each in found if each is not None and isfinite(each)]

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.values) if self.values else None

    @property
    def deviation(self) -> float | None:
        """Of the sample (n - 1)."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def interval(self) -> list[float] | None:
        """Student's t interval of 95% of the mean over seeds."""
        from cnntrain.study.paired.statistics import of_runs

        return of_runs(self.values)

    def written(self) -> dict[str, Any]:
        of = {key: getattr(self, key) for key in ("values", "mean", "deviation", "interval")}
        return {"differs": self.varied, "jobs": len(self.jobs), **of}


def grouped(jobs: Iterable[Job]) -> list[Group]:
    groups: dict[tuple[tuple[str, str], ...], list[Job]] = {}
    for job in jobs:
        groups.setdefault(tuple((key, value) for key, value in job.varied.items() if key != SEED), []).append(job)
    return [Group(dict(key), found) for key, found in groups.items()]


def by_metric(jobs: Sequence[Job]) -> list[tuple[str | None, Column | None, list[Group]]]:
    """The groups of each metric that runs are chosen by, which tasks may differ in; those without a run yet are with
    the first."""
    first = next((job.outcome for job in jobs if job.outcome is not None), None)
    found: dict[str | None, tuple[Column | None, list[Group]]] = {}
    for group in grouped(jobs):
        known = next((job.outcome for job in group.jobs if job.outcome is not None), first)
        metric, column = (None, None) if known is None else (known.metric, known.column)
        found.setdefault(metric, (column, []))[1].append(group)
    return [(metric, column, groups) for metric, (column, groups) in found.items()]


def best_of(column: Column | None, groups: Sequence[Group]) -> Group | None:
    """That of the best mean on val, if there is more than one to choose from."""
    best: Group | None = None
    for each in groups:
        if column is None or each.mean is None:
            continue
        if best is None or best.mean is None or is_better(column, each.mean, best.mean):
            best = each
    return best


def shown(jobs: Sequence[Job]) -> str:
    """Tables for people, a row a configuration, and a line on each job that did not come to its end."""
    texts = []
    for metric, column, groups in by_metric(jobs):
        best = best_of(column, groups)
        keys = list(dict.fromkeys(key for group in groups for key in group.varied))
        rows = [_row(each, keys, column, each is best and len(groups) > 1) for each in groups]
        title = f"sweep: {metric} of the best epoch" if metric is not None else "sweep: nothing to compare yet"
        texts.append(tables.table(title, [*keys, "jobs", "mean", "deviation", "95%", ""], rows, left=[*keys, ""]))
    for job in jobs:
        if job.status != FINISHED:
            name = " ".join(f"{key}={value}" for key, value in job.varied.items())
            reason = job.error or (job.outcome.error if job.outcome is not None else None)
            texts.append(f"{job.status}: {name or 'the job'}{f': {reason}' if reason else ''}")
    return "\n".join(texts)


def _row(group: Group, keys: Sequence[str], column: Column | None, is_best: bool) -> list[str]:
    counts = [each.status for each in group.jobs]
    others = [f"{counts.count(each)} {each}" for each in dict.fromkeys(counts) if each != FINISHED]
    text = column.text if column is not None else str
    interval = "" if group.interval is None else f"[{', '.join(map(text, group.interval))}]"
    numbers = ["" if each is None else text(each) for each in (group.mean, group.deviation)]
    notes = [*(["best"] if is_best else []), *others]
    return [*(group.varied.get(key, "") for key in keys), str(len(group.values)), *numbers, interval, ", ".join(notes)]


def write(place: Path, command: str, status: str, jobs: Sequence[Job]) -> Path:
    """Write ``sweep.json`` and ``sweep.csv``, a row a job, into a sweep's folder.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    found = []
    for metric, column, groups in by_metric(jobs):
        best = best_of(column, groups)
        rows = [{**each.written(), "best": each is best} for each in groups]
        found.append({"metric": metric, "configurations": rows})
    content = {"command": command, "status": status, "tables": found, "jobs": [_written(each) for each in jobs]}
    keys = list(dict.fromkeys(key for job in jobs for key in job.varied))
    heads = ("status", "metric", "value", "epochs", "run_dir", "error")
    lines = [[*(job.varied.get(key) for key in keys), *(_written(job)[head] for head in heads)] for job in jobs]
    write_atomic(place / CSV, tables.comma_separated([*keys, *heads], lines).encode())
    write_atomic(place / SWEEP, plain_json.text(content, indent=2).encode())
    return place / SWEEP


def _written(job: Job) -> dict[str, Any]:
    found = job.outcome
    return {
        "differs": job.varied,
        "status": job.status,
        "metric": None if found is None else found.metric,
        "value": None if found is None else found.value,
        "epochs": None if found is None else found.epochs,
        "run_dir": None if found is None else str(found.run),
        "error": job.error or (found.error if found is not None else None),
    }

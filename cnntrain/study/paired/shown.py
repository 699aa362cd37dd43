"""A comparison as tables, lines and plain values."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cnntrain.core.intervals import LEVEL, of_proportion
from cnntrain.core.tables import Grid
from cnntrain.core.units import in_counts
from cnntrain.study.paired import statistics as paired
from cnntrain.study.paired.systems import Compared, System
from cnntrain.study.paired.verdicts import Verdict, interval, points

SEVERAL = "mean ± std of several runs"


@dataclass(frozen=True)
class Shown:
    """What was compared, on which part, and what came of it."""

    part: str
    compared: Compared
    verdicts: Sequence[Verdict]

    @property
    def title(self) -> str:
        count = len(self.compared.systems)
        return (
            f"{count} system{'' if count == 1 else 's'} on the same {len(self.compared.ids):,} samples of {self.part}"
        )

    def grids(self) -> Iterator[Grid]:
        """The systems, every two of them, and the keys in which they differ."""
        yield self._systems()
        if self.verdicts:
            yield self._pairs()
            names = [each.name for each in self.compared.systems]
            rows = [[key, *values] for key, values in self.compared.settings.items()]
            yield Grid("what differs in their configurations", ["key", *names], rows, ["key", *names])

    def lines(self) -> list[str]:
        """The answers in words, and what a reader must know besides."""
        answers = [f"{each.first.name} and {each.second.name}: {each.answer}" for each in self.verdicts]
        left_out = [f"left out: {name}: {reason}" for name, reason in self.compared.left_out.items()]
        return [*answers, *self.compared.notes, *left_out]

    def _systems(self) -> Grid:
        looked = self.part == "test"
        title = f"{self.title}: accuracy in percent, with its 95% interval, {SEVERAL}"
        columns = ["system", "runs", "accuracy", "95%", "params", "MACs", *(["looks at test"] if looked else [])]
        rows = []
        for each in self.compared.systems:
            values = each.accuracies
            std = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
            low, high = (f"{100 * end:.2f}" for end in paired.accuracy(each.right))
            sizes = [each.figure(name) for name in ("params", "macs")]
            row = [each.name, str(len(values)), f"{100 * each.mean:.2f}{std}", f"[{low}, {high}]"]
            row += ["" if size is None else in_counts(size) for size in sizes]
            rows.append([*row, str(sum(each.looks))] if looked else row)
        return Grid(title, columns, rows, ["system"])

    def _pairs(self) -> Grid:
        title = "differences in points of accuracy; p by Holm; flips: right for the first alone, for the second alone"
        columns = ["first", "second", "points", "95%", "p", "flips"]
        rows = [
            [
                each.first.name,
                each.second.name,
                points(each.found),
                interval(each.found),
                f"{each.p:.2g}",
                " / ".join(f"{len(way):,}" for way in each.flips),
            ]
            for each in self.verdicts
        ]
        return Grid(title, columns, rows, ["first", "second"])

    def facts(self) -> dict[str, Any]:
        """What ``compare.json`` holds: fractions as fractions, and the ids of the samples that flip."""
        compared = self.compared
        return {
            "part": self.part,
            "n": len(compared.ids),
            "level": LEVEL,
            "systems": [_facts(each) for each in compared.systems],
            "comparisons": [each.facts(compared.ids) for each in self.verdicts],
            "settings": {
                key: dict(zip([each.name for each in compared.systems], values, strict=True))
                for key, values in compared.settings.items()
            },
            "notes": list(compared.notes),
            "left_out": dict(compared.left_out),
        }

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows of the comparisons for a program: fractions, and how many samples flip."""
        flips = ("right_to_wrong", "wrong_to_right")
        columns = ["first", "second", "difference", "low", "high", "p", "p_holm", *flips, "verdict", "answer"]
        rows = []
        for each in (verdict.facts(self.compared.ids) for verdict in self.verdicts):
            each |= dict(zip(("low", "high"), each["interval"], strict=True))
            each |= {way: len(each[way]) for way in flips}
            rows.append([each[column] for column in columns])
        return columns, rows


def _facts(system: System) -> dict[str, Any]:
    n, values = system.right.shape[1], system.accuracies
    return {
        "name": system.name,
        "mean": system.mean,
        "std": statistics.stdev(values) if len(values) > 1 else None,
        "interval": paired.accuracy(system.right),
        "interval_of_seeds": paired.of_runs(values),
        "params": system.figure("params"),
        "macs": system.figure("macs"),
        "runs": [
            {
                "run_dir": str(run.folder),
                "seed": run.config.get("seed"),
                "accuracy": value,
                "interval": of_proportion(value, n),
                "test_looks": looks,
            }
            for run, value, looks in zip(system.runs, values, system.looks, strict=True)
        ],
    }

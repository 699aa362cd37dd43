"""``cnntrain scale``: how a network's depth, width and resolution grow together, and the networks that result."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cnntrain.config.schema import Ended
from cnntrain.config.searching import Searching, shown
from cnntrain.core import plain_json, signals, tables
from cnntrain.core.errors import ConfigError, RunError, StopError
from cnntrain.core.files import write_atomic
from cnntrain.core.limits import Count, Positive, Whole
from cnntrain.core.words import tell

if TYPE_CHECKING:
    from cnntrain.search.scaling import Cell

FILE = "scale.json"
CELLS = ("alpha", "beta", "gamma", "params", "MACs", "growth", "val", "deviation")
NETS = ("phi", "depth", "width", "resolution", "image size", "params", "MACs")


@dataclass(frozen=True)
class Scale(Searching):
    """Takes the keys of a training, which each cell of the grid is."""

    free: ClassVar[frozenset[str]] = Searching.free | {"alphas", "betas", "phis", "seeds"}

    alphas: list[Positive]
    betas: list[Positive]
    phis: list[Whole]
    seeds: Count

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.alphas or not self.betas or min(*self.alphas, *self.betas) < 1:
            raise ValueError("alphas and betas must be lists of factors, each at least 1")
        if not self.phis:
            raise ValueError("phis must be a list of whole numbers, such as [0,1,2,3]")
        if self.model.pretrained or self.model.weights is not None:
            raise ValueError("scale trains networks of many shapes from random weights: leave out pretrained ones")

    def execute(self, typed: Sequence[str]) -> Ended:
        """Train what is not trained yet, choose the factors, and show and write the networks of each phi."""
        from cnntrain.build import trial
        from cnntrain.search import journal, scaling

        grid = scaling.grid(self.alphas, self.betas)
        if not grid:
            raise ConfigError("alphas and betas: none have alpha * beta^2 <= 2, so that gamma is at least 1")
        place = self.place(f"scale-{self.data.name}-{self.model.name}")
        cells: list[Cell] = []
        with trial.in_this_process(self.trainer), journal.opened(place, self.fixed(), self.defaults) as kept:
            (base,) = scaling.nets(self.training(), grid[0], [0])
            tell(
                f"{len(grid)} cells of {self.seeds} x {self.trainer.epochs} epochs, with about {scaling.GROWTH:g} "
                f"times the {base['macs']:,} multiply-adds of phi = 0; model.scale makes that fewer",
                sys.stderr,
            )
            for number, factors in enumerate(grid, 1):
                try:
                    cells.append(scaling.tried(kept, self.training(), factors, self.seeds))
                except StopError:
                    tell(f"stopped; the same command goes on in {place}", sys.stderr)
                    return Ended(signals.STOPPED, str(place))
                tell(f"{number}/{len(grid)} alpha {factors.alpha:g}, beta {factors.beta:g}, gamma {factors.gamma:.3f}: "
                     f"{shown(cells[-1].value)} in {cells[-1].seconds:,.0f} s", sys.stderr)  # fmt: skip
            best = scaling.chosen(cells)
            if best is None:
                raise RunError("no cell's loss stayed a number: lower optim.lr")
            nets = scaling.nets(self.training(), best.factors, self.phis)
        found = {
            "command": shlex.join(["cnntrain", "scale", *typed]),
            "metric": self.checkpoint.metric,
            "cells": [each.facts() for each in cells],
            "best": best.facts(),
            "reach": scaling.reach(cells),
            "base": base,
            "nets": nets,
        }
        self._leave(place, found)
        return Ended(made=str(place))

    def _leave(self, place: Path, found: Mapping[str, Any]) -> None:
        best = found["best"]
        cells = [
            [f"{each['alpha']:g}", f"{each['beta']:g}", f"{each['gamma']:.3f}", f"{each['params']:,}",
             f"{each['macs']:,}", f"{each['macs'] / found['base']['macs']:.2f}", shown(each["value"]),
             "" if each["deviation"] is None else f"{each['deviation']:.4f}"] for each in found["cells"]
        ]  # fmt: skip
        nets = [
            [str(each["phi"]), *(f"{each[key]:.3f}" for key in ("depth", "width", "resolution")),
             str(each["image_size"]), f"{each['params']:,}", f"{each['macs']:,}"] for each in found["nets"]
        ]  # fmt: skip
        title = f"{self.model.name}: alpha {best['alpha']:g}, beta {best['beta']:g}, gamma {best['gamma']:.3f}"
        tell(tables.table(f"{self.model.name} of phi = 1, {found['metric']}", CELLS, cells))
        tell(_told(found))
        tell(tables.table(title, NETS, nets))
        write_atomic(place / FILE, plain_json.text(dict(found), indent=2).encode())


def _told(found: Mapping[str, Any]) -> str:
    """How sure it is that the best cell is the best."""
    reach, best = found["reach"], found["best"]
    if reach is None:
        return "one seed a cell does not tell whether another would choose the same: seeds=3 does"
    rest = [each["value"] for each in found["cells"] if each["value"] is not None and each != best]
    near = sum(best["value"] - each <= reach for each in rest)
    return (
        f"{near} of the {len(rest)} other cells are not told from the best by {len(best['values'])} seeds, which tell "
        f"means {reach:.4f} apart"
    )

"""``cnntrain models``: the networks that ``model=`` knows by name, with their papers and figures.

Nothing here imports torch while the figures are on disk, so that the table is there at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from cnntrain.config.schema import Command, Ended
from cnntrain.config.search_path import model_names
from cnntrain.core import plain_json, tables
from cnntrain.core.errors import ConfigError
from cnntrain.core.units import count_of, in_counts
from cnntrain.core.words import tell
from cnntrain.study import catalog

COLUMNS = (
    "name", "year", "paper", "family", "task", "of", "params", "MACs", "input", "depth", "top-1", "top-5", "source",
    "weights",
)  # fmt: skip
LEFT = ("name", "paper", "family", "task", "of", "source", "weights")
PAPER_WIDTH = 40  # characters
CLEAR = "\r\033[K"  # the terminal's line


@dataclass(frozen=True)
class Models(Command):
    filter: str
    all: bool
    max_params: str | None
    max_macs: str | None
    for_task: Literal["classify", "segment", "detect", "generate"] | None
    of: Literal["images", "signals", "volumes"] | None
    sort: Literal["name", "year", "family", "task", "of", "params", "macs", "depth", "top1", "top5"]
    reverse: bool
    format: Literal["table", "json", "csv"]

    def __post_init__(self) -> None:
        for key in ("max_params", "max_macs"):
            text = getattr(self, key)
            if text is not None and count_of(text) is None:
                raise ValueError(f"{key} must be a number such as 25000000, 25M or 4.1G, not {text}")

    def execute(self, typed: Sequence[str]) -> Ended:
        """Print the models that are asked for."""
        named = [each.name for each in catalog.entries()]
        names = [each for each in named if fnmatchcase(each, self.filter)]
        figures = _figures(names)
        if self.all:
            names += [each for each in sorted(model_names() - set(named)) if fnmatchcase(each, self.filter)]
        rows = _sorted([each for each in catalog.rows(names, figures) if _within(each, self)], self)
        if self.format == "json":
            print(plain_json.text(rows, indent=2))
        elif self.format == "csv":
            columns = list(rows[0]) if rows else []
            print(tables.comma_separated(columns, [list(each.values()) for each in rows]), end="")
        else:
            title = f"{len(rows)} models; errors in percent, * of an ensemble"
            print(tables.table(title, COLUMNS, [_cells(each) for each in rows], LEFT), end="")
        return Ended()


def _figures(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The figures of `names`, those that are not on disk computed and put there, even where this is interrupted."""
    kept = catalog.Cache()
    missing = [each for each in names if each not in kept.figures]
    if not missing:
        return kept.figures
    from cnntrain.study.figures import figures  # brings torch in

    computed = {}
    try:
        for number, name in enumerate(missing, 1):
            if sys.stderr.isatty():
                print(CLEAR, end="", file=sys.stderr)
                tell(f"computing figures {number}/{len(missing)}: {name}", sys.stderr, end="")
            computed[name] = _named(name, figures)
    finally:
        if sys.stderr.isatty():
            print(CLEAR, end="", file=sys.stderr, flush=True)
        kept.add(computed)
    return kept.figures


def _named(name: str, figures: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """The figures of one model; what is wrong with its YAML is said with its name."""
    try:
        return figures(name)
    except ConfigError as error:
        raise ConfigError(*(f"model={name}: {each}" for each in error.problems)) from error


def _within(row: dict[str, Any], config: Models) -> bool:
    """Whether a model keeps the limits; one whose figures are unknown keeps none."""
    for key, limit in (("params", config.max_params), ("macs", config.max_macs)):
        most = count_of(limit) if limit is not None else None
        if most is not None and (row[key] is None or row[key] > most):
            return False
    return all(asked is None or row[key] == asked for key, asked in (("task", config.for_task), ("of", config.of)))


def _sorted(rows: list[dict[str, Any]], config: Models) -> list[dict[str, Any]]:
    """By the column asked for, equal ones by name; what has no value comes last either way."""
    known = sorted((each for each in rows if each[config.sort] is not None), key=lambda each: each["name"])
    unknown = [each for each in rows if each[config.sort] is None]
    return sorted(known, key=lambda each: each[config.sort], reverse=config.reverse) + unknown


def _cells(row: dict[str, Any]) -> list[str]:
    mark = "*" if row["errors_of"] else ""
    paper = row["paper"] or ""
    return [
        row["name"],
        str(row["year"] or ""),
        paper if len(paper) <= PAPER_WIDTH else f"{paper[: PAPER_WIDTH - 3].rstrip()}...",
        row["family"] or "",
        row["task"] or "",
        row["of"] or "",
        _count(row["params"]),
        _count(row["macs"]),
        row["input"] or "",
        str(row["depth"] or ""),
        *(f"{row[key]}{mark}" if row[key] is not None else "" for key in ("top1", "top5")),
        row["source"],
        "" if row["weights"] is None else "yes" if row["weights"] else "no",
    ]


def _count(count: int | None) -> str:
    return "" if count is None else in_counts(count)

"""``cnntrain compare``: finished runs held against each other on the same samples. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cnntrain.config.schema import Command, Ended
from cnntrain.core import plain_json, tables
from cnntrain.core.limits import Place, Positive
from cnntrain.core.words import LINE, printable, tell


@dataclass(frozen=True)
class Compare(Command):
    runs: list[Place]  # folders, or patterns of folders
    part: Literal["test", "val"]
    margin: Positive | None  # points of accuracy
    format: Literal["table", "markdown", "csv", "json", "html"]
    output: Place | None

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError("runs must be a folder of runs, or a list of runs")

    def execute(self, typed: Sequence[str]) -> Ended:
        """Compare, leave ``compare.json`` and ``compare.png``, print, and end with the folder that they are in."""
        from cnntrain.study.paired import folder, systems, verdicts
        from cnntrain.study.paired.shown import Shown

        compared = systems.read(self.runs, self.part)
        margin = None if self.margin is None else self.margin / 100
        shown = Shown(self.part, compared, verdicts.verdicts(compared.systems, margin))
        place = folder.place(self.output, self.runs, compared.systems)
        picture = folder.write(place, shown)
        if self.format == "json":
            print(plain_json.text(shown.facts(), indent=2))
        elif self.format == "csv":
            print(tables.comma_separated(*shown.table()), end="")
        elif self.format == "html":
            print(tables.page(shown.title, list(shown.grids()), shown.lines(), picture))
        else:
            draw, bullet = (tables.markdown, "- ") if self.format == "markdown" else (tables.table, "")
            for each in shown.grids():
                print(draw(each.title, each.columns, each.rows, each.left))
            for line in shown.lines():
                tell(f"{bullet}{printable(line, LINE)}")
            return Ended(made=str(place))
        return Ended()

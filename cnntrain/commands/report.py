"""``cnntrain report``: one page of a run, or of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cnntrain.config.schema import Command, Ended
from cnntrain.core.errors import ConfigError, InputError, RunError
from cnntrain.core.limits import Place
from cnntrain.core.words import LINE, printable, tell

LATEST = "latest"
SECONDS = 20.0  # that reading images may take


@dataclass(frozen=True)
class Report(Command):
    runs: Place
    images: bool
    part: Literal["test", "val"]
    output: Place | None

    def __post_init__(self) -> None:
        if self.output is not None and not self.output.endswith(".html"):
            raise ValueError(f"output must end in .html, not {self.output}")

    def execute(self, typed: Sequence[str]) -> Ended:
        """Write the page, and end with its path."""
        from cnntrain.core.files import write_atomic
        from cnntrain.runs import folder
        from cnntrain.study.page import many, one

        place = folder.latest(Path("outputs"), folder.CONFIG) if self.runs == LATEST else Path(self.runs)
        if not place.is_dir():
            raise ConfigError(f"runs={self.runs}: there is no such folder")
        is_one = (place / folder.CONFIG).is_file()
        path = Path(self.output) if self.output is not None else place / one.PAGE
        if not path.parent.is_dir():
            raise InputError(f"output={path}: there is no folder {path.parent}")
        text, notes = self._of_one(place) if is_one else many.page_of(place, self.part, path.parent)
        try:
            write_atomic(path, text.encode())
        except RunError as error:
            raise InputError(f"output={path}: {error}") from error
        for each in notes:
            tell(f"note: {printable(each, LINE)}")
        return Ended(made=str(path))

    def _of_one(self, place: Path) -> tuple[str, Sequence[str]]:
        from cnntrain.build.looking import Looking
        from cnntrain.core.dist import pick_device
        from cnntrain.study.page import facts, one
        from cnntrain.study.page.thumbnails import Album

        run = facts.read(place)
        ids = run.answers.ids if run.answers is not None else ()
        source = Looking(place, run.part, ids, pick_device("auto"))
        return one.page_of(run, Album(source, SECONDS) if self.images else None)

"""``cnntrain predict``: what trained networks see in images without labels."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnntrain.config.schema import Command, Ended
from cnntrain.core.errors import ConfigError
from cnntrain.core.limits import Count, Inside, Place, Whole
from cnntrain.core.targets import DENSE
from cnntrain.core.words import CELL, printable, tell

if TYPE_CHECKING:
    from cnntrain.build.trained import Trained
    from cnntrain.runs.rows import Columns, Write

NONE = "none of these"


@dataclass(frozen=True)
class Predict(Command):
    """Rows are written as the images are judged."""

    run: list[Place]
    images: Place | None
    samples: Count | None  # images that a run of task=generate makes
    topk: Count
    reject: Inside | None  # the share of right answers that may be lost
    format: Literal["table", "csv", "json", "parquet"] | None
    output: Place | None
    batch_size: Count | None
    num_workers: Whole | None
    device: Literal["auto", "cpu", "cuda"]
    runs: Place  # where the latest run is looked for

    def __post_init__(self) -> None:
        if not self.run:
            raise ValueError("run is required: run=<run folder>, or run=[a,b] for several that answer as one")
        if self.images is None and self.samples is None:
            raise ValueError("images is required: images=<file, folder, pattern, table *.csv or ->")
        if self.images is not None and self.samples is not None:
            raise ValueError("samples is of images that are made, images of those that are judged: give one of them")
        if self._format == "parquet" and self.output is None:
            raise ValueError("format=parquet goes into a file: output=<file>.parquet")

    @property
    def _format(self) -> str:
        from cnntrain.runs.rows import format_of

        return self.format or format_of(self.output)

    def execute(self, typed: Sequence[str]) -> Ended:
        """Judge all images; the exit code is 1 where one cannot be read."""
        from cnntrain.build import predicting, reading
        from cnntrain.core import dist
        from cnntrain.export import bundle

        adjust = reading.adjusting(self.device, self.batch_size, self.num_workers)
        members = reading.members(self.run, self.runs, dist.pick_device(self.device), adjust, bundle.read_any)
        bundle.require_cpu(members, self.device)
        target = members[0].config.task.target
        if target == "image" or self.samples is not None:
            return self._made(members)
        assert self.images is not None
        if target in DENSE:
            return self._painted(members)
        _say_notes(members)
        least = None if self.reject is None else predicting.threshold(members, self.reject)
        if least is not None:
            tell(f"{NONE}: answers with a probability below {least:.4f}", sys.stderr)
        files, inputs = predicting.named(members[0], self.images)
        layout = _Layout(members[0].classes, min(self.topk, len(members[0].classes)), least)
        with self._written(files, layout) as write:
            return reading.each_batch(files, predicting.answers(members, inputs), layout.columns, write, self.output)

    def _made(self, members: Sequence[Trained]) -> Ended:
        """Images of random numbers.

        Raises:
            ConfigError: the run makes none, or what is asked for is of answers to images.
        """
        from cnntrain.build import making
        from cnntrain.core import signals

        task = members[0].config.task
        if task.target != "image":
            raise ConfigError(f"samples={self.samples}: task={task.name} makes no images; images= are what it judges")
        self._refuse_of_answers(members, "makes images")
        if self.samples is None or self.output is None:
            raise ConfigError(
                f"task={task.name} makes images and judges none: give samples=64, or so many, and output=<a new folder>"
            )
        made = making.make(members[0], self.samples, Path(self.output))
        if made < self.samples:
            tell(f"cnntrain: stopped after {made:,} of {self.samples:,} images, which are written", sys.stderr)
        return Ended(0 if made == self.samples else signals.STOPPED, self.output)

    def _refuse_of_answers(self, members: Sequence[Trained], instead: str) -> None:
        """Raises ConfigError where what is asked for is of answers to images as a whole.

        Args:
            instead: what the task does, in words.
        """
        asked = {
            "several runs": len(members) > 1,
            "reject": self.reject is not None,
            f"format={self.format}": self.format in ("csv", "parquet"),
        }
        wrong = [key for key, is_asked in asked.items() if is_asked]
        if wrong:
            task = members[0].config.task.name
            raise ConfigError(f"{' and '.join(wrong)}: of answers to images as a whole, and task={task} {instead}")

    def _painted(self, members: Sequence[Trained]) -> Ended:
        """Masks or boxes, drawn over what the network sees of the images.

        Raises:
            ConfigError: what is asked for is of answers to images as a whole.
        """
        from cnntrain.build import boxing, painting, reading
        from cnntrain.data.sets.named import names
        from cnntrain.runs import rows

        task = members[0].config.task
        of_boxes = task.target == "boxes"
        what = "boxes" if of_boxes else "masks"
        self._refuse_of_answers(members, f"draws {what}")
        if self.output is None:
            raise ConfigError(f"task={task.name} draws {what} over the images: give output=<a new folder> for them")
        assert self.images is not None
        files = names(self.images)
        painter = (boxing.Boxer if of_boxes else painting.Painter)(members[0], Path(self.output))
        lines = boxing.lines if of_boxes else painting.lines
        with rows.written(None, rows.json_lines if self.format == "json" else lines) as write:
            return reading.each_batch(files, painter.answers(files), painter.columns, write, self.output)

    @contextmanager
    def _written(self, files: Sequence[str], layout: _Layout) -> Iterator[Write]:
        from cnntrain.runs import rows

        if self._format == "parquet":
            assert self.output is not None
            with rows.parquet(self.output) as write:
                yield write
            return
        texts: dict[str, Callable[[Columns, bool], str]] = {
            "csv": rows.comma_separated,
            "json": rows.json_lines,
            "table": layout.lines(max(map(len, files))),
        }
        with rows.written(self.output, texts[self._format]) as write:
            yield write


def _say_notes(members: Sequence[Trained]) -> None:
    for each in members:
        for note in each.notes:
            tell(note, sys.stderr)
        if each.temperature is None:
            tell(f"note: {each.path}: no temperature was found on val, so probabilities are as they are", sys.stderr)


@dataclass(frozen=True)
class _Layout:
    """Which columns a row has.

    Attributes:
        top: how many classes a row names.
        least: the probability below which the answer is none; None: there always is one.
    """

    classes: Sequence[str]
    top: int
    least: float | None

    def columns(self, files: Sequence[str], probabilities: Any) -> Columns:
        """Of probabilities, a tensor [images, classes]."""
        values, places = probabilities.sort(dim=1, descending=True, stable=True)
        found = values[:, : self.top].tolist()
        named = [[self.classes[each] for each in row] for row in places[:, : self.top].tolist()]
        answers = [
            None if self.least is not None and row[0] < self.least else each[0]
            for row, each in zip(found, named, strict=True)
        ]
        return {"image": list(files), "answer": answers, "class": named, "probability": found}

    def lines(self, width: int) -> Callable[[Columns, bool], str]:
        """For people: a file, then its classes with their probabilities.

        Args:
            width: of the longest file's name.
        """
        width, longest = min(width, CELL), min(max(map(len, self.classes)), CELL)

        def text(columns: Columns, first: bool) -> str:
            rows = []
            for file, answer, names, values in zip(*columns.values(), strict=True):
                cells = [
                    f"{printable(name, CELL):<{longest}} {value:7.2%}"
                    for name, value in zip(names, values, strict=True)
                ]
                cells = cells if answer is not None else [f"{NONE};", *cells]
                rows.append(f"{printable(file, CELL):<{width}}  {'  '.join(cells)}".rstrip() + "\n")
            return "".join(rows)

        return text

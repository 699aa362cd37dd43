"""``cnntrain check``: what is wrong with images and their labels, found before any training."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cnntrain.config.pictures import require_images
from cnntrain.config.schema import Command, Ended
from cnntrain.core import plain_json, tables
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.files import write_atomic
from cnntrain.core.limits import Count, Place
from cnntrain.core.words import tell
from cnntrain.data.base import Data

if TYPE_CHECKING:
    import numpy as np

    from cnntrain.data.sets.dataset import Part
    from cnntrain.study.checking.everything import Checked

WRONG = 2  # exit code, as of other input that cannot be used


@dataclass(frozen=True)
class Check(Command):
    data: Data
    labels: bool
    run: Place | None
    runs: Place  # where the latest run is looked for
    device: Literal["auto", "cpu", "cuda"]
    shown: Count
    output: Place

    def __post_init__(self) -> None:
        if self.run is not None and not self.labels:
            raise ValueError("run=<run folder> is for judging labels: leave it out with labels=false")

    def execute(self, typed: Sequence[str]) -> Ended:
        """Check the set, show what was found, and leave all of it in a file."""
        from cnntrain.build.data import workers
        from cnntrain.runs.versions import versions
        from cnntrain.study.checking.everything import check_everything, facts
        from cnntrain.study.checking.opening import opened

        path = Path(self.output)
        if not path.parent.is_dir():
            raise InputError(f"output={path}: there is no folder {path.parent}")
        require_images(self.data, "cnntrain check")
        features = None if self.run is None else self._features(self.run)
        checked = check_everything(opened(self.data), workers(self.data), self.labels, features, self.data.group)
        found = {
            "data": {"name": self.data.name, **self.data.places()},
            "run": self.run,
            **facts(checked),
            "versions": versions(),
            "command": shlex.join(["cnntrain", "check", *typed]),
        }
        write_atomic(path, plain_json.text(found, indent=1).encode())
        self._show(checked)
        return Ended(WRONG if checked.faults else 0, str(path))

    def _features(self, run: str) -> Callable[[Mapping[str, Part]], np.ndarray]:
        """What the run's network computes before its classifier.

        Raises:
            InputError: it cannot be read, or has several classifiers.
            ConfigError: it takes images of another depth.
        """
        import torch

        from cnntrain.build import embedding, reading
        from cnntrain.core import dist

        device = dist.pick_device(self.device)
        (found,) = reading.members([run], self.runs, device, reading.adjusting(self.device, None, None))
        if found.seen.channels != self.data.channels:
            raise ConfigError(
                f"data.channels={self.data.channels}, but {run} takes {found.seen.channels}: "
                f"data.channels={found.seen.channels} converts the images"
            )
        if found.seen.depth != self.data.depth:
            raise ConfigError(f"data.depth={self.data.depth}, but {run} takes {found.seen.depth}: give that")
        compute = embedding.features(found.network, None)

        def of_parts(parts: Mapping[str, Part]) -> np.ndarray:
            readers = self.data.num_workers
            rows = [each for part in parts.values() for each, _ in found.through(compute, part.images, readers)]
            features: np.ndarray = torch.cat(rows).numpy()
            return features

        return of_parts

    def _show(self, checked: Checked) -> None:
        from cnntrain.data.sets.bands import shown_in_words
        from cnntrain.study.checking.shown import class_rows, finding_lines, set_lines

        opened = checked.opened
        parts = ", ".join(f"{name} {len(part):,}" for name, part in opened.parts.items())
        columns, rows = class_rows(checked)
        title = f"{self.data.name}: {parts} images of {len(opened.classes):,} classes"
        if len(rows) < len(opened.classes):
            title += f"; the {len(rows)} smallest and largest:"
        print(tables.table(title, columns, rows, columns[:1]), end="", flush=True)
        left_out = filter(None, [shown_in_words(self.data.channels)])
        for line in [*left_out, *set_lines(checked), *finding_lines(checked, self.shown, self.output)]:
            tell(line)
        warnings = len(checked.findings) - checked.faults
        seconds = sum(checked.seconds.values())
        tell(f"{checked.faults:,} faults and {warnings:,} warnings in {len(checked.looks):,} images; {seconds:.1f} s")

"""``cnntrain check``: what is wrong with images and their labels, found before any training."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnntrain.config.schema import Command, Ended
from cnntrain.core import plain_json, tables
from cnntrain.core.errors import InputError
from cnntrain.core.files import write_atomic
from cnntrain.core.limits import Count, Place
from cnntrain.core.words import tell
from cnntrain.data.base import Data

if TYPE_CHECKING:
    from cnntrain.study.checking.everything import Checked

WRONG = 2  # exit code, as of other input that cannot be used


@dataclass(frozen=True)
class Check(Command):
    data: Data
    labels: bool
    shown: Count
    output: Place

    def execute(self, typed: Sequence[str]) -> Ended:
        """Check the set, show what was found, and leave all of it in a file."""
        from cnntrain.build.data import workers
        from cnntrain.runs.versions import versions
        from cnntrain.study.checking.everything import check_everything, facts
        from cnntrain.study.checking.opening import opened

        path = Path(self.output)
        if not path.parent.is_dir():
            raise InputError(f"output={path}: there is no folder {path.parent}")
        checked = check_everything(opened(self.data), workers(self.data), self.labels, group=self.data.group)
        found = {
            "data": {"name": self.data.name, **self.data.places()},
            **facts(checked),
            "versions": versions(),
            "command": shlex.join(["cnntrain", "check", *typed]),
        }
        write_atomic(path, plain_json.text(found, indent=1).encode())
        self._show(checked)
        return Ended(WRONG if checked.faults else 0, str(path))

    def _show(self, checked: Checked) -> None:
        from cnntrain.study.checking.shown import class_rows, finding_lines, set_lines

        opened = checked.opened
        parts = ", ".join(f"{name} {len(part):,}" for name, part in opened.parts.items())
        columns, rows = class_rows(checked)
        title = f"{self.data.name}: {parts} images of {len(opened.classes):,} classes"
        if len(rows) < len(opened.classes):
            title += f"; the {len(rows)} smallest and largest:"
        print(tables.table(title, columns, rows, columns[:1]), end="", flush=True)
        for line in [*set_lines(checked), *finding_lines(checked, self.shown, self.output)]:
            tell(line)
        warnings = len(checked.findings) - checked.faults
        seconds = sum(checked.seconds.values())
        tell(f"{checked.faults:,} faults and {warnings:,} warnings in {len(checked.looks):,} images; {seconds:.1f} s")

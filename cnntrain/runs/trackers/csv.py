"""``metrics.csv``: a row a step that is logged, a column a metric."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.core import files, tables
from cnntrain.core.errors import InputError
from cnntrain.runs.sinks import is_before
from cnntrain.runs.trackers.base import Log

if TYPE_CHECKING:
    from torch import Tensor

FILE = "metrics.csv"


def opened(log: Log) -> Csv:
    return Csv(log.folder / FILE, log.step, log.epoch)


class Csv:
    """The file is written anew where a metric comes that had no column; what a killed run logged later is dropped."""

    def __init__(self, path: Path, step: int, epoch: int):
        self.path = path
        self.columns: list[str] = ["step", "epoch"]
        self.rows: list[dict[str, Any]] = []
        if path.exists():
            self._read(step, epoch)
        self._write()

    def _read(self, step: int, epoch: int) -> None:
        try:
            with open(self.path, encoding="utf-8", newline="") as file:
                table = csv.DictReader(file)
                self.columns = list(table.fieldnames or self.columns)
                for row in table:
                    values = {name: float(each) for name, each in row.items() if each}
                    if is_before(values, step, epoch):
                        self.rows.append(row)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{self.path} cannot be read ({error}): remove it, and it begins anew") from error

    def log(self, step: int, values: Mapping[str, float]) -> None:
        row = {"step": step, **values}
        self.rows.append(row)
        more = [name for name in row if name not in self.columns]
        if more:
            self.columns += more
            self._write()
            return
        with files.writing(self.path), open(self.path, "a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(self._cells(row))

    def _write(self) -> None:
        text = tables.comma_separated(self.columns, [self._cells(row) for row in self.rows])
        files.write_atomic(self.path, text.encode())

    def _cells(self, row: Mapping[str, Any]) -> list[Any]:
        return [row.get(name) for name in self.columns]

    def images(self, name: str, images: Tensor) -> None:
        """Numbers alone stand here."""

    def layers(self, step: int, scalars: Mapping[str, float], histograms: Mapping[str, Tensor]) -> None:
        """Metrics of the run alone stand here."""

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """A run's settings stand in its config.yaml."""

    def close(self) -> None:
        """It is closed after each row."""

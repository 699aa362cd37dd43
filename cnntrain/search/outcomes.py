"""What a run has come to, as a sweep or a search sees it: its best epoch on val, and never its test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cnntrain.runs import folder as folders
from cnntrain.runs import history
from cnntrain.tasks.base import Column

FINISHED, FAILED, STOPPED, PRUNED, WAITING = "finished", "failed", "stopped", "pruned", "waiting"


@dataclass(frozen=True)
class Outcome:
    """Attributes:
    metric: by which the run chose its best epoch, of val.
    value: of the best epoch; None where there is none.
    """

    run: Path
    status: str
    metric: str
    column: Column
    value: float | None
    epochs: int
    error: str | None = None


def read(run: Path) -> Outcome | None:
    """That of a run's folder; None where it has not ended, or is no longer there.

    Raises:
        InputError: its result is damaged.
    """
    ended = folders.result(run)
    if ended is None:
        return None
    columns = history.columns(ended)
    metric = str(ended.get("metric") or f"val/{columns[0].name}")  # runs of before do not tell
    column = next(each for each in columns if f"val/{each.name}" == metric)
    value = (ended.get("best") or {}).get(metric)
    status, error = str(ended.get("status")), ended.get("error")
    return Outcome(run, status, metric, column, value, int(ended.get("epochs", 0)), error)

"""What is recorded of a run's steps, and that it changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table

from cnntrain.core.digest import digest
from cnntrain.training import loop
from cnntrain.training.profiling import ACTIVE, TRACE, Profiler

MakeRun = Callable[..., Any]


@pytest.mark.parametrize("words", [(), ("trainer.grad_accum=2", "data.train_size=320"), ("data.batch_size=24",)])
def test_some_batches_are_recorded_and_the_weights_are_the_same(
    words: tuple[str, ...], make_run: MakeRun, tmp_path: Path
) -> None:
    said: list[Any] = []
    plain, recorded = make_run(*words), make_run(*words)
    recorded.run.profiler = Profiler(tmp_path, said.append)
    for run in (plain, recorded):
        assert run.fit() == loop.FINISHED
    assert digest(plain.model.state_dict()) == digest(recorded.model.state_dict())
    events = json.loads((tmp_path / TRACE).read_text(encoding="utf-8"))["traceEvents"]
    convolutions = [each for each in events if each.get("name") == "aten::convolution_backward"]
    batches = min(ACTIVE, recorded.run.step.steps_per_epoch * recorded.loaders.share.pieces - 1)
    assert len(convolutions) == 2 * batches
    (table,) = said
    assert isinstance(table, Table) and table.row_count == 8


def test_an_epoch_of_one_batch_is_not_recorded(tmp_path: Path) -> None:
    profiler = Profiler(tmp_path, print)
    assert list(profiler(iter([1]), 1)) == [1]  # type: ignore[list-item]
    assert not list(tmp_path.iterdir())

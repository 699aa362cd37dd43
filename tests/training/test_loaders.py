from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

MakeRun = Callable[..., Any]


def positions(plan: Any) -> list[list[int]]:
    return [each.tolist() for each in plan]


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_plan_begins_after_the_steps_that_are_done_and_has_no_more_than_asked(pieces: int, make_run: MakeRun) -> None:
    loaders = make_run(f"trainer.grad_accum={pieces}").run.loaders
    whole = positions(loaders.train_plan(2))
    assert len(whole) == 3 * pieces and loaders.steps_per_epoch == 3
    assert positions(loaders.train_plan(2, 1)) == whole[pieces:]
    assert positions(loaders.train_plan(2, 1, 1)) == whole[pieces : 2 * pieces]
    assert positions(loaders.train_plan(2, 0, 2)) == whole[: 2 * pieces]
    assert positions(loaders.train_plan(2, 2, 5)) == whole[2 * pieces :]
    assert positions(loaders.train_plan(3)) != whole


def test_a_part_is_read_and_held_by_its_name(make_run: MakeRun) -> None:
    loaders = make_run().run.loaders
    assert [loaders.part(name) for name in ("train", "val", "test")] == [loaders.train, loaders.val, loaders.test]
    assert sum(batch.count for batch in loaders.eval_batches("val")) == 16
    assert positions(loaders.eval_plan("test")) == [[*range(16)]]
    asked: list[Any] = []
    loaders.holder = SimpleNamespace(hold=lambda *what: asked.append(what))
    loaders.hold(["val"], 3, print, len)
    assert asked == [({"val": loaders.val}, 3, print, len)]
    loaders.test = None
    with pytest.raises(AssertionError, match="this data set has no test part"):
        loaders.part("test")


def test_as_many_workers_as_the_loader_with_most_has(make_run: MakeRun) -> None:
    loaders = make_run().run.loaders
    loaders.train.source, loaders.val.source = SimpleNamespace(workers=0), SimpleNamespace(workers=2)
    assert loaders.workers == 2
    loaders.train.source, loaders.val.source = SimpleNamespace(workers=3), SimpleNamespace(workers=0)
    assert loaders.workers == 3

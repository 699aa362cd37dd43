"""How a speed is found, with made-up times; the whole command is in tests/commands/test_bench.py."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cnntrain.core import dist
from cnntrain.data.batches.feed import Batch
from cnntrain.data.batches.plan import Share
from cnntrain.training import speed
from cnntrain.training.speed import Speed

MakeRun = Callable[..., Any]


def test_medians_are_of_the_rounds_after_the_first(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    # data, step and training of each round; those of the first, which warms up, are far off
    rates = iter([1, 1, 9, 100, 50, 40, 300, 60, 30, 200, 70, 63])
    works: list[Callable[[], int]] = []
    monkeypatch.setattr(speed, "_rate", lambda run, work: works.append(work) or float(next(rates)))
    run = make_run("trainer.grad_accum=2")
    found = speed.measure(run.run, run.report, run.saver, 2, 3)
    assert (found.data, found.step, found.training, found.ratio, found.waiting) == (200, 60, 40, 0.8, 0)
    assert works[0]() == works[1]() == 32  # two steps of 16 images
    assert {group["base_lr"] for group in run.optimizer.param_groups} == {0.0}


def test_a_rate_is_over_all_ranks_from_when_the_device_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, met = SimpleNamespace(now=5.0), list[float]()
    clock.perf_counter = lambda: clock.now
    monkeypatch.setattr(speed, "time", clock)
    monkeypatch.setattr(dist, "barrier", lambda: met.append(clock.now))
    run: Any = SimpleNamespace(loaders=SimpleNamespace(share=Share(0, 3, 1)), device=torch.device("cpu"))

    def work() -> int:
        clock.now += 2.0
        return 10

    assert speed._rate(run, work) == 15.0
    assert met == [5.0, 7.0]


def test_the_step_alone_exchanges_gradients_with_each_last_micro_batch(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("trainer.grad_accum=2")
    phase, on = run.begin_epoch(), list[bool]()
    monkeypatch.setattr(dist, "sync_gradients", lambda network, on: exchanged.append(on))
    exchanged = on
    batches = list(run.train_batches())[:4]
    on.clear()
    assert speed._compute(run.run, phase, batches) == 32
    assert on == [False, True, False, True] and run.progress.step == 2


def test_training_is_of_the_first_steps_of_the_next_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = SimpleNamespace(epoch=4, step_in_epoch=2, step=30, images=1000)
    begun: list[Any] = []
    run: Any = SimpleNamespace(
        state=SimpleNamespace(progress=progress),
        step=SimpleNamespace(max_steps=None),
        loaders=SimpleNamespace(share=Share(0, 2, 1)),
        begin_epoch=lambda *what: begun.append((progress.epoch, progress.step_in_epoch, run.step.max_steps)),
    )

    def train_epoch(*_: Any) -> None:
        progress.images += 96  # of both ranks

    monkeypatch.setattr(speed, "train_epoch", train_epoch)
    nothing: Any = None
    assert speed._train(run, nothing, nothing, nothing, 3) == 48
    assert begun == [(5, 0, 33)]


def test_a_clocked_feed_counts_the_time_in_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=5.0)
    clock.perf_counter = lambda: clock.now
    monkeypatch.setattr(speed, "time", clock)

    class Feed:
        waited = 7.0

        def batches(self, plan: Any) -> Any:
            for count in plan:
                clock.now += count
                yield Batch(None, None, count)
            clock.now += 0.5  # until it is known that there is no more

    feed = speed._Clocked(Feed())
    seen = []
    for batch in feed.batches([1, 2]):  # type: ignore[arg-type]
        clock.now += 100
        seen.append(batch.count)
    assert (seen, feed.seconds, feed.waited) == ([1, 2], 3.5, 7.0)


@pytest.mark.parametrize(
    ("ratio", "waiting", "limit"), [(0.95, 0.0, "step"), (0.94, 0.04, "data"), (0.5, 0.25, "data"), (0.5, 0.24, "loop")]
)
def test_limits_are_taken_to_the_letter(ratio: float, waiting: float, limit: str) -> None:
    assert Speed(1.0, 1.0, ratio, ratio, waiting).limit == limit

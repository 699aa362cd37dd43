from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau

from cnntrain.schedule.base import Position
from cnntrain.schedule.plateau import Plateau

BASE = 0.5
# sixty-fourths are exact, so that both sides compare the same numbers
values = st.lists(st.integers(0, 64).map(lambda n: n / 64), max_size=40)
thresholds = st.integers(0, 8).map(lambda n: n / 64)


def plateau(**changes: Any) -> Plateau:
    settings = {
        "name": "plateau", "warmup_epochs": 0, "metric": "val/top1", "mode": "max", "factor": 0.1, "patience": 2,
        "threshold": 0.0, "max_reductions": None, "min_lr": 0.0,
    }  # fmt: skip
    return Plateau(**{**settings, **changes})


def rates(schedule: Plateau, metrics: list[float]) -> list[float]:
    found = []
    for epoch, value in enumerate(metrics, 1):
        schedule.observe(epoch, {schedule.metric: value})
        found.append(schedule.rate(BASE, Position(epoch * 3, 3, 3000)))
    return found


@settings(deadline=None)
@given(values, st.sampled_from(["max", "min"]), st.integers(0, 4), thresholds, st.sampled_from([0.0, 0.01, 0.2, 0.7]))
def test_it_is_torchs(metrics: list[float], mode: str, patience: int, threshold: float, min_lr: float) -> None:
    optim = SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    reference = ReduceLROnPlateau(
        optim, mode=mode, factor=0.5, patience=patience, threshold=threshold, threshold_mode="abs",
        min_lr=min(min_lr, BASE),
    )  # fmt: skip
    expected = []
    for value in metrics:
        reference.step(value)
        expected.append(optim.param_groups[0]["lr"])
    metric = "val/top1" if mode == "max" else "val/loss"
    schedule = plateau(metric=metric, mode=mode, factor=0.5, patience=patience, threshold=threshold, min_lr=min_lr)
    assert rates(schedule, metrics) == pytest.approx(expected, rel=1e-6, abs=1e-7)


@given(values, values, st.integers(0, 3), st.integers(0, 3))
def test_its_state_continues_it(before: list[float], after: list[float], patience: int, most: int) -> None:
    straight, first = (plateau(patience=patience, max_reductions=most) for _ in range(2))
    expected = rates(straight, [*before, *after])[len(before) :]
    rates(first, before)
    second = plateau(patience=patience, max_reductions=most)
    second.load_state_dict(first.state_dict())
    assert rates(second, after) == expected
    assert second.state_dict() == straight.state_dict()


@given(values, st.integers(0, 3))
def test_it_reduces_at_most_so_many_times(metrics: list[float], most: int) -> None:
    schedule = plateau(patience=0, max_reductions=most)
    assert min(rates(schedule, metrics), default=BASE) >= BASE * 0.1**most * (1 - 1e-9)


def test_it_says_when_it_reduces() -> None:
    schedule = plateau(patience=1)
    said = [schedule.observe(epoch, {"val/top1": 0.5}) for epoch in range(1, 6)]
    line = "val/top1 has not improved for 2 epochs: learning rate x 0.1"
    assert said == [None, None, line, None, line]


def test_what_is_not_a_number_never_improves() -> None:
    schedule = plateau(metric="val/loss", mode="min", patience=0)
    found = rates(schedule, [1.0, math.nan, -math.inf, 0.5, math.inf])
    assert found == pytest.approx([0.5, 0.05, 0.005, 0.005, 0.0005])


def test_epochs_of_the_warm_up_do_not_count() -> None:
    schedule = plateau(warmup_epochs=2.5, patience=0)
    reduced = [schedule.observe(epoch, {"val/top1": 0.5}) is not None for epoch in range(1, 6)]
    assert reduced == [False, False, False, True, True]


def test_the_floor_holds_back_neither_the_warm_up_nor_a_lower_base_rate() -> None:
    schedule = plateau(warmup_epochs=1, patience=0, min_lr=0.2)
    assert schedule.rate(BASE, Position(0, 10, 100)) == pytest.approx(0.05)
    for epoch in range(2, 6):
        schedule.observe(epoch, {"val/top1": 0.5})
    assert schedule.rate(BASE, Position(60, 10, 100)) == 0.2
    assert schedule.rate(0.1, Position(60, 10, 100)) == 0.1


def test_the_warm_up_is_linear_by_the_step() -> None:
    schedule = plateau(warmup_epochs=1.5)
    found = [schedule.rate(BASE, Position(step, 4, 40)) for step in range(8)]
    assert found == pytest.approx([BASE * min(1, (step + 1) / 6) for step in range(8)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patience": -1}, "patience must be at least 0, not -1"),
        ({"max_reductions": -1}, "max_reductions must be at least 0, not -1"),
        ({"threshold": math.nan}, "threshold must be at least 0, not nan"),
        ({"min_lr": -0.1}, "min_lr must be at least 0, not -0.1"),
        ({"factor": 0.0}, "factor must be between 0 and 1, not 0.0"),
        ({"mode": "min"}, "mode=min does not go with metric=val/top1"),
        ({"metric": "train/loss"}, "mode=max does not go with metric=train/loss"),
    ],
)
def test_limits(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plateau(**changes)

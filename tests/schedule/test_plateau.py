from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau

from cnntrain.config.check import section
from cnntrain.config.schema import TrainConfig
from cnntrain.core.errors import ConfigError
from cnntrain.schedule.base import Position
from cnntrain.schedule.plateau import Plateau, Watch

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


def watch(**changes: Any) -> Watch:
    return plateau(**changes).start()


def rates(course: Watch, metrics: list[float]) -> list[float]:
    found = []
    for epoch, value in enumerate(metrics, 1):
        course.observe(epoch, {course.plateau.metric: value})
        found.append(course.rate(BASE, Position(epoch * 3, 3, 3000)))
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
    course = watch(metric=metric, mode=mode, factor=0.5, patience=patience, threshold=threshold, min_lr=min_lr)
    assert rates(course, metrics) == pytest.approx(expected, rel=1e-6, abs=1e-7)


@given(values, values, st.integers(0, 3), st.integers(0, 3))
def test_its_state_continues_it(before: list[float], after: list[float], patience: int, most: int) -> None:
    straight, first = (watch(patience=patience, max_reductions=most) for _ in range(2))
    expected = rates(straight, [*before, *after])[len(before) :]
    rates(first, before)
    second = watch(patience=patience, max_reductions=most)
    second.load_state_dict(first.state_dict())
    assert rates(second, after) == expected
    assert second.state_dict() == straight.state_dict()


@given(values, st.integers(0, 3))
def test_it_reduces_at_most_so_many_times(metrics: list[float], most: int) -> None:
    course = watch(patience=0, max_reductions=most)
    assert min(rates(course, metrics), default=BASE) >= BASE * 0.1**most * (1 - 1e-9)


def test_it_says_when_it_reduces() -> None:
    course = watch(patience=1)
    said = [course.observe(epoch, {"val/top1": 0.5}) for epoch in range(1, 6)]
    line = "val/top1 has not improved for 2 epochs: learning rate x 0.1"
    assert said == [None, None, line, None, line]


def test_what_is_not_a_number_never_improves() -> None:
    course = watch(metric="val/loss", mode="min", patience=0)
    found = rates(course, [1.0, math.nan, -math.inf, 0.5, math.inf])
    assert found == pytest.approx([0.5, 0.05, 0.005, 0.005, 0.0005])


def test_epochs_of_the_warm_up_do_not_count() -> None:
    course = watch(warmup_epochs=2.5, patience=0)
    reduced = [course.observe(epoch, {"val/top1": 0.5}) is not None for epoch in range(1, 6)]
    assert reduced == [False, False, False, True, True]
    course = watch(warmup_epochs=3, patience=0)  # the third is still one of them
    reduced = [course.observe(epoch, {"val/top1": 0.5}) is not None for epoch in range(1, 6)]
    assert reduced == [False, False, False, False, True]


def test_the_floor_holds_back_neither_the_warm_up_nor_a_lower_base_rate() -> None:
    course = watch(warmup_epochs=1, patience=0, min_lr=0.2)
    assert course.rate(BASE, Position(0, 10, 100)) == pytest.approx(0.05)
    for epoch in range(2, 6):
        course.observe(epoch, {"val/top1": 0.5})
    assert course.rate(BASE, Position(60, 10, 100)) == 0.2
    assert course.rate(0.1, Position(60, 10, 100)) == 0.1


def test_the_warm_up_is_linear_by_the_step() -> None:
    course = watch(warmup_epochs=1.5)
    found = [course.rate(BASE, Position(step, 4, 40)) for step in range(8)]
    assert found == pytest.approx([BASE * min(1, (step + 1) / 6) for step in range(8)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patience": -1}, "schedule.patience=-1 must be an integer at least 0"),
        ({"max_reductions": -1}, "schedule.max_reductions=-1 must be an integer at least 0 or null"),
        ({"threshold": math.nan}, "schedule.threshold=nan must be a number at least 0"),
        ({"min_lr": -0.1}, "schedule.min_lr=-0.1 must be a number at least 0"),
        ({"factor": 0.0}, "schedule.factor=0.0 must be a number above 0 and below 1"),
        ({"mode": "most"}, "schedule.mode=most must be one of max, min or null"),
    ],
)
def test_limits(changes: dict[str, Any], message: str) -> None:
    assert section(asdict(plateau()), Plateau, "schedule") == plateau()
    with pytest.raises(ConfigError) as caught:
        section({**asdict(plateau()), **changes}, Plateau, "schedule")
    assert caught.value.problems == (message,)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("schedule.mode=min", "schedule.mode=min does not go with schedule.metric=val/top1"),
        (
            "schedule.metric=train/loss schedule.mode=max",
            "schedule.mode=max does not go with schedule.metric=train/loss",
        ),
    ],
)
def test_its_mode_is_the_metrics(configure: Callable[..., TrainConfig], override: str, message: str) -> None:
    assert configure("schedule=plateau").schedule.watched() == ("val/top1", True)
    with pytest.raises(ConfigError) as caught:
        configure("schedule=plateau", *override.split())
    assert caught.value.problems == (message,)


@pytest.mark.parametrize("changes", [{"best": ""}, {"bad_epochs": []}, {"reductions": {"x": 1}}, {"reductions": 2**70}])
def test_a_state_of_other_types_is_refused_before_it_is_used(changes: dict[str, Any]) -> None:
    watch = plateau().start()
    with pytest.raises(TypeError, match="is not as it was written"):
        watch.load_state_dict({**watch.state_dict(), **changes})

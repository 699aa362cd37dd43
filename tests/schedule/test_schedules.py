"""Each schedule against torch's own of the same name."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import SGD, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from cnntrain.config.check import section
from cnntrain.core.errors import ConfigError
from cnntrain.schedule.base import Position, Schedule
from cnntrain.schedule.constant import Constant
from cnntrain.schedule.cosine import Cosine
from cnntrain.schedule.multistep import MultiStep
from cnntrain.schedule.step import Step
from cnntrain.schedule.triangle import Triangle

BASE = 0.3


def optimizer(rate: float = BASE) -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def ours(schedule: Schedule, epochs: int, per_epoch: int) -> list[float]:
    total, course = epochs * per_epoch, schedule.start()
    return [course.rate(BASE, Position(step, per_epoch, total)) for step in range(total)]


def theirs(optim: SGD, scheduler: LRScheduler, steps: int) -> list[float]:
    rates = []
    for _ in range(steps):
        rates.append(optim.param_groups[0]["lr"])
        optim.step()
        scheduler.step()
    return rates


def repeated(rates: list[float], times: int) -> list[float]:
    return [rate for rate in rates for _ in range(times)]


factors = st.floats(0.05, 0.9)


@given(st.integers(1, 5), factors, st.integers(1, 12), st.integers(1, 4))
def test_step(every: int, factor: float, epochs: int, per_epoch: int) -> None:
    optim = optimizer()
    expected = theirs(optim, lr_scheduler.StepLR(optim, every, factor), epochs)
    found = ours(Step("step", 0, every, factor), epochs, per_epoch)
    assert found == pytest.approx(repeated(expected, per_epoch))


@given(st.sets(st.integers(1, 12), max_size=4).map(sorted), factors, st.integers(1, 12), st.integers(1, 4))
def test_multistep(milestones: list[int], factor: float, epochs: int, per_epoch: int) -> None:
    optim = optimizer()
    expected = theirs(optim, lr_scheduler.MultiStepLR(optim, milestones, factor), epochs)
    found = ours(MultiStep("multistep", 0, milestones, factor), epochs, per_epoch)
    assert found == pytest.approx(repeated(expected, per_epoch))


@settings(deadline=None)
@given(st.floats(0, 0.9), st.integers(1, 12), st.integers(1, 9))
def test_cosine(final: float, epochs: int, per_epoch: int) -> None:
    optim, steps = optimizer(), epochs * per_epoch
    expected = theirs(optim, lr_scheduler.CosineAnnealingLR(optim, steps, eta_min=final * BASE), steps)
    assert ours(Cosine("cosine", 0, final), epochs, per_epoch) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(st.integers(2, 30))
def test_the_warm_up_is_torchs_linear_one(steps: int) -> None:
    optim = optimizer()
    scheduler = lr_scheduler.LinearLR(optim, start_factor=1 / steps, total_iters=steps - 1)
    expected = theirs(optim, scheduler, steps + 10)
    course = Constant("constant", steps / 10).start()
    found = [course.rate(BASE, Position(step, 10, steps + 10)) for step in range(steps + 10)]
    assert found == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(2, 12), st.integers(2, 5))
def test_a_cosine_after_a_warm_up_is_torchs_sequence_of_both(per_epoch: int, epochs: int) -> None:
    optim, steps = optimizer(), epochs * per_epoch
    parts: list[LRScheduler] = [
        lr_scheduler.LinearLR(optim, start_factor=1 / per_epoch, total_iters=per_epoch - 1),
        lr_scheduler.CosineAnnealingLR(optim, steps - per_epoch),
    ]
    expected = []
    for step in range(steps):  # SequentialLR itself steps with the deprecated epoch argument
        expected.append(optim.param_groups[0]["lr"])
        optim.step()
        if step + 1 == per_epoch:
            optim.param_groups[0]["lr"] = BASE
        else:
            parts[step >= per_epoch].step()
    assert ours(Cosine("cosine", 1, 0.0), epochs, per_epoch) == pytest.approx(expected, abs=1e-12)


@given(st.floats(0, 0.9), st.floats(0.05, 0.95), st.floats(0, 0.9), st.integers(1, 12), st.integers(1, 9))
def test_a_triangle_is_numpys_line_through_its_three_points(
    first: float, peak: float, final: float, epochs: int, per_epoch: int
) -> None:
    steps = epochs * per_epoch
    top = int(peak * steps)
    points = ([0, top, steps], [first, 1, final]) if top else ([0, steps], [1, final])
    found = ours(Triangle("triangle", 0, first, peak, final), epochs, per_epoch)
    assert found == pytest.approx(BASE * np.interp(range(steps), *points))


def test_a_constant_rate_stays() -> None:
    assert ours(Constant("constant", 0), 3, 4) == [BASE] * 12


def test_the_last_step_of_a_cosine_is_above_the_end() -> None:
    assert 0 < ours(Cosine("cosine", 0, 0.0), 10, 10)[-1] < 0.001 * BASE


def test_schedules_without_memory_keep_no_state() -> None:
    course = Constant("constant", 0).start()
    assert course.observe(1, {"val/top1": 0.5}) is None
    assert course.state_dict() == {}
    course.load_state_dict({})
    with pytest.raises(ValueError, match=r"schedule constant keeps no state, but the checkpoint has \['best'\]"):
        course.load_state_dict({"best": 1})


CONSTANT = Constant("constant", 0)
STEP = Step("step", 0, 1, 0.1)
MULTISTEP = MultiStep("multistep", 0, [1, 2], 0.1)
COSINE = Cosine("cosine", 0, 0.0)
TRIANGLE = Triangle("triangle", 0, 0.2, 0.25, 0.0)


@pytest.mark.parametrize(
    ("schedule", "changes", "message"),
    [
        (CONSTANT, {"warmup_epochs": -1}, "schedule.warmup_epochs=-1 must be a number at least 0"),
        (STEP, {"every_epochs": 0}, "schedule.every_epochs=0 must be an integer at least 1"),
        (STEP, {"factor": 1.0}, "schedule.factor=1.0 must be a number above 0 and below 1"),
        (STEP, {"factor": 0}, "schedule.factor=0 must be a number above 0 and below 1"),
        (MULTISTEP, {"milestones": [3, 2]}, "schedule.milestones must be rising epochs from 1 on, not [3, 2]"),
        (MULTISTEP, {"milestones": [0, 2]}, "schedule.milestones must be rising epochs from 1 on, not [0, 2]"),
        (MULTISTEP, {"milestones": [2, 2]}, "schedule.milestones must be rising epochs from 1 on, not [2, 2]"),
        (COSINE, {"final_fraction": 1.0}, "schedule.final_fraction=1.0 must be a number at least 0 and below 1"),
        (TRIANGLE, {"peak": 1.0}, "schedule.peak=1.0 must be a number above 0 and below 1"),
        (
            TRIANGLE,
            {"warmup_epochs": 2},
            "schedule.name=triangle rises by itself, up to its peak: it goes with warmup_epochs=0",
        ),
        (COSINE, {"warmup_epochs": float("nan")}, "schedule.warmup_epochs=nan must be a number at least 0"),
    ],
)
def test_limits(schedule: Schedule, changes: dict[str, Any], message: str) -> None:
    assert section(asdict(schedule), type(schedule), "schedule") == schedule
    with pytest.raises(ConfigError) as caught:
        section({**asdict(schedule), **changes}, type(schedule), "schedule")
    assert caught.value.problems == (message,)

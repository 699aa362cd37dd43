"""A step by hand: what it does to weights, gradients, scale and counts, and where it stands in the run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.utils import ModelEmaV3
from torch import nn

from cnntrain.schedule.base import Position
from cnntrain.training.progress import Progress
from cnntrain.training.state import State
from cnntrain.training.step import Step


class Schedule:
    """Halves the rate with each epoch, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Position] = []

    def rate(self, base_lr: float, position: Position) -> float:
        self.asked.append(position)
        return base_lr / 2 ** (position.step // position.steps_per_epoch)


class Policy:
    def rate_multiplier(self, epoch: int) -> float:
        return 10.0**-epoch


def step(scale: float | None = None, average: bool = False, clip_norm: float | None = None, **how: Any) -> Step:
    """Of the weight 1 of a linear function, at a rate of 0.1."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    state = State(
        model=model,
        ema=ModelEmaV3(model, decay=0.5) if average else None,
        optimizer=torch.optim.SGD([{"params": [model.weight], "base_lr": 0.1}], lr=77.0),
        scaler=torch.amp.GradScaler("cpu", init_scale=scale or 1.0, growth_interval=2, enabled=scale is not None),
        schedule=Schedule(),  # type: ignore[arg-type]
        policy=Policy(),  # type: ignore[arg-type]
        freezing=None,  # type: ignore[arg-type]
        progress=how.pop("progress", Progress()),
        about={},
    )
    given = {"pieces": 1, "steps_per_epoch": 3, "epochs": 2, "max_steps": None} | how
    return Step(state, clip_norm=clip_norm, **given)


def weight(of: nn.Module) -> float:
    return next(of.parameters()).item()


def times(found: Step, slope: float) -> torch.Tensor:
    """A loss of this slope."""
    return slope * found.state.model(torch.ones(1))


def test_a_step_moves_the_weight_by_rate_times_slope_and_counts() -> None:
    found = step()
    assert found(times(found, 2.0)) is True
    assert weight(found.state.model) == pytest.approx(1 - 0.1 * 2)
    assert found.state.model.weight.grad is None  # a zero would let momentum go on after a freeze
    progress = found.state.progress
    assert (progress.step, progress.step_in_epoch, progress.epoch) == (1, 1, 0)
    assert found(times(found, 2.0)) is True
    assert (progress.step, progress.step_in_epoch) == (2, 2)
    assert weight(found.state.model) == pytest.approx(1 - 0.1 * 2 * 2)
    assert found.rate() == pytest.approx(0.1)


@pytest.mark.parametrize("slopes", [(2.0, 4.0), (1.0, 2.0, 6.0), (1.0, 2.0, 3.0, 6.0)])
def test_the_gradients_of_micro_batches_are_averaged_and_the_step_comes_with_the_last(
    slopes: tuple[float, ...],
) -> None:
    found = step(pieces=len(slopes))
    for _ in range(2):
        before = weight(found.state.model)
        assert [found(times(found, slope)) for slope in slopes] == [False] * (len(slopes) - 1) + [True]
        assert weight(found.state.model) == pytest.approx(before - 0.1 * 3)
    assert found.state.progress.step == 2


def test_losses_side_by_side_are_summed() -> None:
    found = step()
    found(torch.cat([times(found, 1.0), times(found, 4.0)]))
    assert weight(found.state.model) == pytest.approx(1 - 0.1 * 5)


@pytest.mark.parametrize(("limit", "moved"), [(None, 0.2), (0.5, 0.05), (7.0, 0.2)])
@pytest.mark.parametrize("scale", [None, 1024.0])
def test_the_gradient_is_clipped_as_it_is_without_its_scale(
    scale: float | None, limit: float | None, moved: float
) -> None:
    found = step(scale, clip_norm=limit)
    found(times(found, 2.0))
    assert weight(found.state.model) == pytest.approx(1 - moved, rel=1e-4)


def test_the_scale_grows_after_good_steps_and_falls_after_a_bad_one() -> None:
    found = step(1024.0)
    for _ in range(2):
        found(times(found, 1.0))
    assert found.state.scaler.get_scale() == 2048
    before = weight(found.state.model)
    found(times(found, float("inf")))
    assert found.state.scaler.get_scale() == 1024 and weight(found.state.model) == before


def test_the_average_follows_each_step() -> None:
    found = step(average=True)
    assert found.state.ema is not None
    expected = 1.0
    for _ in range(3):
        found(times(found, 1.0))
        expected = (expected + weight(found.state.model)) / 2
        assert weight(found.state.ema.module) == pytest.approx(expected)


def test_rates_are_of_the_schedule_and_the_policy_where_the_step_stands() -> None:
    progress = Progress(epoch=1, step_in_epoch=2, step=5)
    found = step(progress=progress, epochs=4)
    found(times(found, 1.0))
    assert found.state.schedule.asked == [Position(5, 3, 12)]  # type: ignore[attr-defined]
    assert found.rate() == pytest.approx(0.1 / 2 / 10)


@pytest.mark.parametrize(
    ("epoch", "in_epoch", "done", "most", "left"),
    [
        (0, 0, 0, None, 6),
        (1, 2, 5, None, 1),
        (2, 0, 6, None, 0),
        (1, 1, 4, 100, 2),
        (1, 1, 4, 5, 1),
        (0, 2, 40, 41, 1),  # earlier steps were of another batch
        (0, 2, 40, 30, 0),
    ],
)
def test_the_run_ends_at_the_limit_that_comes_first(
    epoch: int, in_epoch: int, done: int, most: int | None, left: int
) -> None:
    found = step(progress=Progress(epoch=epoch, step_in_epoch=in_epoch, step=done), max_steps=most)
    assert found.left == left
    here = 3 * epoch + in_epoch
    assert found.position == Position(here, 3, here + left)

"""What a learning-rate schedule is: the rate as a function of the position in the run. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.core.limits import NotNegative


@dataclass(frozen=True)
class Position:
    """Where an optimizer step stands in its run, in steps of the present length; `step` counts from 0."""

    step: int
    steps_per_epoch: int
    total_steps: int


@dataclass(frozen=True)
class Schedule:
    """The keys that every schedule has. A schedule is a subclass in a file of its own.

    The rate is a function of the position and, for a schedule that watches a metric, of what its `Course` was told; a
    resumed run therefore continues at the same rate. `fixed` are keys of its own that a run under way cannot change,
    since the form or the meaning of what a checkpoint holds depends on them. Of one that `spans_the_run` the rate of
    every step depends on where the run ends.
    """

    fixed: ClassVar[tuple[str, ...]] = ()
    spans_the_run: ClassVar[bool] = False

    name: str
    warmup_epochs: NotNegative  # the rate rises linearly over these, by the step; 0: no warm-up

    def start(self) -> Course:
        """The schedule in a run."""
        return Course(self)

    def decay(self, position: Position) -> float:
        """The factor on the rate at `position`, warm-up apart."""
        raise NotImplementedError

    def watched(self) -> tuple[str, bool | None] | None:
        """The metric that it watches, and whether it waits for greater values (None: it leaves that open); None where
        it watches none, or leaves open which."""
        return None

    def watching(self, metric: str, greater: bool) -> Schedule:
        """With this metric, of which greater values are the better or not, where it leaves open what it watches."""
        return self


class Course:
    """A schedule in a run; this one keeps no state."""

    def __init__(self, schedule: Schedule):
        self.schedule = schedule

    def rate(self, base_lr: float, position: Position) -> float:
        """The learning rate of the step at `position` for a parameter group whose unscheduled rate is `base_lr`."""
        warmup_steps = round(self.schedule.warmup_epochs * position.steps_per_epoch)
        rise = (position.step + 1) / warmup_steps if position.step < warmup_steps else 1.0
        return base_lr * rise * self.decay(position)

    def decay(self, position: Position) -> float:
        return self.schedule.decay(position)

    def observe(self, epochs_done: int, metrics: Mapping[str, float]) -> str | None:
        """Take note of an epoch's metrics; returns a line for the log when they changed the rate."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """What `observe` has accumulated, as plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state:
            raise ValueError(f"schedule {self.schedule.name} keeps no state, but the checkpoint has {sorted(state)}")

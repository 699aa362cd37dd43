"""``cnntrain lr_find``: the loss at rising learning rates, a rate to begin with, and how large a batch is worth it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from cnntrain.config.schema import Ended
from cnntrain.config.searching import Searching
from cnntrain.core import plain_json, signals
from cnntrain.core.errors import LossError, StopError
from cnntrain.core.files import write_atomic, writing
from cnntrain.core.limits import Count, Positive, Whole
from cnntrain.core.words import LINE, printable, tell

LEAST_STEPS = 20
LEAST_NOISE = 16  # two in each repeat


@dataclass(frozen=True)
class LrFind(Searching):
    """Takes the keys of a training, of which those that say how it ends and what is best have no effect."""

    chooses: ClassVar[bool] = False

    lowest: Positive
    highest: Positive
    steps: Count
    noise: Whole

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task.target == "image":
            raise ValueError(
                f"lr_find looks for the rate at which a loss falls, and the two networks of task={self.task.name} have "
                "one that tells how well they match: optim.lr=0.0002 is that of recipe=dcgan2016"
            )
        if self.lowest >= self.highest:
            raise ValueError(f"lowest={self.lowest:g} must be below highest={self.highest:g}")
        if self.steps < LEAST_STEPS:
            raise ValueError(f"steps={self.steps} are too few to see a loss fall: at least {LEAST_STEPS}")
        if 0 < self.noise < LEAST_NOISE:
            raise ValueError(f"noise={self.noise} batches tell nothing of their spread: at least {LEAST_NOISE}, or 0")

    def execute(self, typed: Sequence[str]) -> Ended:
        """Train a network that is thrown away, and write what was seen."""
        from cnntrain.build import trial
        from cnntrain.search import lr_range
        from cnntrain.study.curves import picture

        place = self.place(f"lr_find-{self.data.name}-{self.model.name}")
        with trial.in_this_process(self.trainer):
            try:
                found = lr_range.tested(self.training(), self.lowest, self.highest, self.steps)
                noise, heard = self._noise(found.suggestion)
            except StopError:
                tell("stopped; nothing is written", sys.stderr)
                return Ended(signals.STOPPED)
        title = f"{self.model.name} on {self.data.name}, optim={self.optim.name}, {self.data.batch_size} images a step"
        with writing(place):
            place.mkdir(parents=True, exist_ok=True)
        facts = {"command": shlex.join(["cnntrain", "lr_find", *typed]), **asdict(found), "noise": noise}
        write_atomic(place / "lr_find.json", plain_json.text(facts, indent=2).encode())
        write_atomic(place / "lr_find.png", picture(lr_range.drawn(found, printable(title, LINE)), "png"))
        self._say(found.suggestion, found.least, len(found.rates))
        if heard:
            tell(heard)
        return Ended(made=str(place))

    def _noise(self, rate: float | None) -> tuple[dict[str, Any] | None, str]:
        """How the gradient's noise was at a rate, and the line that says it; nothing where it is not asked for."""
        from cnntrain.search import noise

        if not self.noise or rate is None:
            return None, ""
        try:
            found = noise.measured(self.training(), rate, self.steps, self.noise)
        except LossError as error:
            return None, f"gradient noise was not measured, since at {rate:.2g} {error}"
        return asdict(found), noise.advice(found)

    def _say(self, suggestion: float | None, least: float | None, count: int) -> None:
        if count < self.steps:
            tell(f"the loss was no number from step {count + 1} of {self.steps} on")
        if suggestion is None:
            tell("the loss hardly falls at any of these rates, so that none is suggested: see cnntrain diagnose")
            return
        tell(f"the loss falls most steeply at {suggestion:.2g}, and is least at {least:.2g}: optim.lr={suggestion:.1g}")

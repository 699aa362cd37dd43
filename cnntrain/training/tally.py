"""What is known of the epoch under way: its sums, its speed, and whether its losses are numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cnntrain.core import dist
from cnntrain.core.errors import LossError
from cnntrain.core.words import printable
from cnntrain.runs.report import Moment
from cnntrain.tasks.base import Objective
from cnntrain.training.progress import Progress, Rate

NEVER = 2**62  # a step that does not come
MOST = 1000  # losses that are looked at together
SHOWN = 8  # images in a message


class Tally:
    """Made before an epoch, or with what is saved of it; counts on the device, so that no step waits for it.

    Args:
        ids: of the images of one of the epoch's steps, over all ranks.
    """

    def __init__(
        self, objective: Objective, device: torch.device, progress: Progress, ids: Callable[[int], Sequence[str]]
    ) -> None:
        self.totals = objective.totals(device)
        self.rate = Rate(progress)
        self._progress = progress
        self._ids = ids
        self._losses: list[Tensor] = []  # that nobody has looked at, and in which step each was
        self._steps: list[int] = []
        self._first_bad = NEVER
        if progress.sums is not None:
            self.totals.load(progress.sums)

    def add(self, loss: Tensor, judged: Any, targets: Any) -> None:
        """Add a micro-batch of the coming step; of settings side by side those whose loss is a number go on."""
        self.totals.add(loss, judged, targets)
        self._losses.append(loss)
        self._steps.append(self._progress.step_in_epoch)
        if len(self._losses) == MOST:
            self._look()

    def _look(self) -> None:
        if self._losses:
            sound = torch.stack(self._losses).view(len(self._losses), -1).isfinite().any(1).tolist()
            bad = (step for step, fine in zip(self._steps, sound, strict=True) if not fine)
            self._first_bad = min(self._first_bad, next(bad, NEVER))
        self._losses, self._steps = [], []

    def sums(self, now: Moment) -> list[float] | None:
        """To be saved with the epoch; None between epochs. Raises as `require_sound`."""
        self.require_sound(now)
        return self.totals.reduced() if now.step_in_epoch else None

    def require_sound(self, now: Moment) -> None:
        """Nothing that comes after a loss that is no number is worth saving. All ranks call this.

        Raises:
            LossError: the loss of a step was nan or infinite.
        """
        self._look()
        step = -dist.largest(-self._first_bad)
        if step == NEVER:
            return
        images = [printable(each) for each in self._ids(step)]
        more = f" and {len(images) - SHOWN} more" if len(images) > SHOWN else ""
        raise LossError(
            f"the training loss is nan or infinite in step {step + 1} of epoch {now.epoch + 1}: lower optim.lr, which "
            f"was {now.lr:g} (try {now.lr / 10:g}, schedule.warmup_epochs=1 or trainer.clip_norm=1), or "
            f"look at the step's images: {', '.join(images[:SHOWN])}{more}"
        )

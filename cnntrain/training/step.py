"""One optimizer step: a loss is scaled, accumulated, its gradient clipped and applied, the weights averaged."""

from __future__ import annotations

from torch import Tensor, nn

from cnntrain.schedule.base import Position
from cnntrain.training.state import State


class Step:
    """Called with the loss of each micro-batch; the only thing that moves weights.

    Attributes:
        pieces: micro-batches a step.
        steps_per_epoch: in steps of the present batch.
        epochs, max_steps: where the run ends, at whichever limit comes first.
    """

    def __init__(
        self,
        state: State,
        pieces: int,
        steps_per_epoch: int,
        epochs: int,
        max_steps: int | None,
        clip_norm: float | None,
    ):
        self.state = state
        self.pieces = pieces
        self.steps_per_epoch = steps_per_epoch
        self.epochs = epochs
        self.max_steps = max_steps
        self.clip_norm = clip_norm
        self._pieces_done = 0

    def __call__(self, loss: Tensor) -> bool:
        """Backward of the loss, or of the sum of several; with a step's last micro-batch the update.

        Returns:
            Whether there was one.
        """
        state = self.state
        if loss.ndim or self.pieces > 1:  # of one number its sum, and a whole of it, are it
            loss = loss.sum() / self.pieces
        state.scaler.scale(loss).backward()
        self._pieces_done = (self._pieces_done + 1) % self.pieces
        if self._pieces_done:
            return False
        self._set_rates()
        if self.clip_norm is not None:
            state.scaler.unscale_(state.optimizer)
            nn.utils.clip_grad_norm_(state.model.parameters(), self.clip_norm)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
        state.progress.step += 1
        state.progress.step_in_epoch += 1
        if state.lookahead is not None:
            ends = state.progress.step_in_epoch == self.steps_per_epoch or self.left == 0
            state.lookahead.step_done(self.position, state.progress.epoch, ends)
        if state.ema is not None:
            state.ema.update(state.model)
        return True

    @property
    def position(self) -> Position:
        """Where the next step stands, counted in epochs: steps of the present batch, whatever earlier ones were."""
        progress = self.state.progress
        here = progress.epoch * self.steps_per_epoch + progress.step_in_epoch
        return Position(here, self.steps_per_epoch, here + self.left)

    @property
    def left(self) -> int:
        """Steps to the end of the run."""
        progress = self.state.progress
        steps = (self.epochs - progress.epoch) * self.steps_per_epoch - progress.step_in_epoch
        if self.max_steps is not None:
            steps = min(steps, self.max_steps - progress.step)
        return max(0, steps)

    def _set_rates(self) -> None:
        state, position = self.state, self.position
        multiplier = state.policy.rate_multiplier(state.progress.epoch)
        for group in state.optimizer.param_groups:
            group["lr"] = state.schedule.rate(group["base_lr"], position) * multiplier

    def rate(self) -> float:
        """The learning rate of the last step, of the body where it has one of its own."""
        return self.state.optimizer.param_groups[0]["lr"]

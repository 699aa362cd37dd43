"""Slow weights that follow the trained ones, and from which training goes on.

Zhang, Lucas, Hinton and Ba, Lookahead optimizer: k steps forward, 1 step back, 2019 (arXiv:1907.08610). Jordan 2024
(arXiv:2404.00498) lets them follow less and less over the run, and takes batch norm's statistics with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from cnntrain.config import schema
from cnntrain.schedule.base import Position


class Lookahead:
    """Called after each optimizer step.

    Attributes:
        slow: by name the parameters and buffers that are no whole numbers; None before the first time.
    """

    def __init__(self, model: nn.Module, settings: schema.Lookahead):
        self.model = model
        self.settings = settings
        self.slow: dict[str, Tensor] | None = None

    @torch.no_grad()
    def step_done(self, done: Position, epoch: int, ends: bool) -> None:
        """Follow the model, which is then as the slow weights are, where it is time to; at the end of an epoch it
        returns to them.

        Args:
            done: `step` counts the steps that are done.
            epoch: that they are of, from 0.
            ends: whether the epoch, or the run, ends with this step.
        """
        settings = self.settings
        assert settings.every is not None, "then there is no lookahead"
        due = epoch >= settings.start_epoch and done.step % settings.every == 0
        if due and self.slow is None:
            self.slow = {name: value.clone() for name, value in self._values().items()}
        elif due or (ends and self.slow is not None):
            self._return(self._stays(done) if due else 1.0)

    def _return(self, stays: float) -> None:
        assert self.slow is not None
        slow, values = [*self.slow.values()], self._values()
        fast = [values[name] for name in self.slow]
        torch._foreach_lerp_(slow, fast, 1 - stays)
        torch._foreach_copy_(fast, slow)

    def _stays(self, done: Position) -> float:
        """The share of the slow weights."""
        settings = self.settings
        assert settings.every is not None
        return float(settings.decay**settings.every * (done.step / done.total_steps) ** settings.power)

    def _values(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.model.state_dict().items() if value.is_floating_point()}

    def state_dict(self) -> dict[str, Tensor] | None:
        return self.slow

    def load_state_dict(self, saved: Mapping[str, Tensor] | None) -> None:
        """Go on from slow weights that were saved.

        Raises:
            ValueError: they are those of another model.
        """
        values = self._values()
        if saved is not None and {k: v.shape for k, v in saved.items()} != {k: v.shape for k, v in values.items()}:
            raise ValueError("its slow weights are those of another model")
        self.slow = None if saved is None else {name: values[name].clone().copy_(saved[name]) for name in values}

    def take(self, names: Iterable[str]) -> None:
        """Let the slow weights of these names be as the model's: what is frozen must not return to others, and ranks
        share the first one's statistics."""
        if self.slow is not None:
            values = self._values()
            for name in self.slow.keys() & {*names}:
                self.slow[name].copy_(values[name])

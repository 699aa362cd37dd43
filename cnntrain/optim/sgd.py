"""Stochastic gradient descent with momentum, the optimizer of every historic recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnntrain.core.limits import Fraction
from cnntrain.optim.base import Optim

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SGD(Optim):
    momentum: Fraction
    nesterov: bool

    def __post_init__(self) -> None:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=true needs a momentum above 0")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        import torch

        optimizer = torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov, fused=True)
        if self.momentum:
            optimizer.register_step_pre_hook(_begin_momentum)
        return optimizer


def _begin_momentum(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """The fused step takes either all parameters for new or none: those that were released later start from zero."""
    import torch

    for group in optimizer.param_groups:
        for each in group["params"]:
            if each.grad is not None and optimizer.state[each].get("momentum_buffer") is None:
                optimizer.state[each]["momentum_buffer"] = torch.zeros_like(each)

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
            optimizer.register_step_pre_hook(_Momentum())
        return optimizer


class _Momentum:
    """The fused step takes either all parameters for new or none: those that were released later start from zero."""

    def __init__(self) -> None:
        self._all: tuple[object, int] | None = None  # a state that has one of each of so many parameters

    def __call__(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        import torch

        state, count = optimizer.state, sum(len(group["params"]) for group in optimizer.param_groups)
        if self._all is not None and self._all[0] is state and self._all[1] == count:
            return  # without a look at each in every step
        parameters = [each for group in optimizer.param_groups for each in group["params"]]
        for each in parameters:
            if each.grad is not None and state[each].get("momentum_buffer") is None:
                state[each]["momentum_buffer"] = torch.zeros_like(each)
        if all(state.get(each, {}).get("momentum_buffer") is not None for each in parameters):
            self._all = state, count

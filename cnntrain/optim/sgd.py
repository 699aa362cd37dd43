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

        return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov)

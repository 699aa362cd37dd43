"""RMSprop (Tieleman and Hinton 2012) as torch defines it, the optimizer of the MobileNet and EfficientNet papers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnntrain.core.limits import Fraction, Positive
from cnntrain.optim.base import Optim

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class RMSprop(Optim):
    fixed = ("momentum",)  # torch keeps a buffer for it where it is above 0

    momentum: Fraction
    alpha: Fraction  # smoothing of the squared gradients
    eps: Positive

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        import torch

        return torch.optim.RMSprop(groups, lr=self.lr, momentum=self.momentum, alpha=self.alpha, eps=self.eps)

"""RMSprop (Tieleman and Hinton 2012) as torch defines it, the optimizer of the MobileNet and EfficientNet papers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnntrain.optim.base import Optim, check_fraction

if TYPE_CHECKING:
    import torch


@dataclass
class RMSprop(Optim):
    momentum: float
    alpha: float  # smoothing of the squared gradients
    eps: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction("momentum", self.momentum)
        check_fraction("alpha", self.alpha)
        if not self.eps > 0:
            raise ValueError(f"eps must be above 0, not {self.eps}")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        import torch

        return torch.optim.RMSprop(groups, lr=self.lr, momentum=self.momentum, alpha=self.alpha, eps=self.eps)

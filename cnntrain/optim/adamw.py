"""Adam with decoupled weight decay (Loshchilov and Hutter 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnntrain.optim.base import Optim, check_fraction

if TYPE_CHECKING:
    import torch


@dataclass
class AdamW(Optim):
    beta1: float
    beta2: float
    eps: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction("beta1", self.beta1)
        check_fraction("beta2", self.beta2)
        if not self.eps > 0:
            raise ValueError(f"eps must be above 0, not {self.eps}")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        import torch

        return torch.optim.AdamW(groups, lr=self.lr, betas=(self.beta1, self.beta2), eps=self.eps)

"""Adam with decoupled weight decay (Loshchilov and Hutter 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnntrain.core.limits import Fraction, Positive
from cnntrain.optim.base import Optim

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class AdamW(Optim):
    beta1: Fraction
    beta2: Fraction
    eps: Positive

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        import torch

        return torch.optim.AdamW(groups, lr=self.lr, betas=(self.beta1, self.beta2), eps=self.eps, fused=True)

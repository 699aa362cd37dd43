"""Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.study.explain.cam import CAM, sides

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Gradcam(CAM):
    def weighted(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return (gradients.mean(sides(gradients), keepdim=True) * activations).sum(1).relu()

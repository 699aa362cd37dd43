"""Grad-CAM++ (Chattopadhyay et al. 2018, arXiv:1710.11063)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.study.explain.cam import CAM, sides

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class GradcamPlusPlus(CAM):
    """Positive gradients weigh the channels, each position by what the paper's equation 19 makes of it, for which the
    score is the exponential of the logit."""

    def weighted(self, activations: Tensor, gradients: Tensor) -> Tensor:
        square, cube = gradients**2, gradients**3
        share = 2 * square + activations.sum(sides(activations), keepdim=True) * cube
        alpha = square / share.where(share != 0, share.new_ones(()))
        weights = (alpha * gradients.relu()).sum(sides(gradients), keepdim=True)
        return (weights * activations).sum(1).relu()

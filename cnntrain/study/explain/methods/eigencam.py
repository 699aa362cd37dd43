"""Eigen-CAM (Muhammad and Yeasin 2020, arXiv:2008.00299)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.study.explain.cam import CAM

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Eigencam(CAM):
    """The first principal component of what the layer holds. No gradient, no class: the map is the same for each."""

    def weighted(self, activations: Tensor, gradients: Tensor) -> Tensor:
        import torch

        positions = activations.flatten(2).mT.double()  # [images, positions, channels]
        _, _, directions = torch.linalg.svd(positions, full_matrices=False)
        projected = (positions @ directions[:, 0, :, None])[..., 0]
        # a direction's sign is arbitrary: the one by which the map lies with what the layer holds
        sign = projected.sum(1, keepdim=True).sign()
        small = (projected * sign.where(sign != 0, sign.new_ones(()))).relu()
        return small.view(len(activations), *activations.shape[2:]).to(activations.dtype)

"""LayerCAM (Jiang et al. 2021, doi:10.1109/TIP.2021.3089943)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.study.explain.cam import CAM

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Layercam(CAM):
    """Each position of each channel has its own weight, its positive gradient: so early layers give fine maps."""

    def weighted(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return (gradients.relu() * activations).sum(1).relu()

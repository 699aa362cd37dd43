"""Masks: a class for each pixel of an image, uint8, in which `IGNORE` is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torchvision import tv_tensors

from cnntrain.data.batches.structure import plain


class Masks:
    """What rows of masks have in common."""

    def joint(self, batch: Any) -> Any:
        """uint8 [batch, height, width]."""
        return tv_tensors.Mask(batch)

    def seen(self, target: Any) -> Any:
        return plain(target)


class ArrayMasks(Masks):
    """Held as uint8 [n, height, width]."""

    def __init__(self, masks: np.ndarray):
        self.masks = masks

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: int) -> Any:
        return tv_tensors.Mask(torch.from_numpy(self.masks[index].copy()))

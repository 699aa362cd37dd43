"""From images to what the network sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Preprocess:
    """From uint8 images to what the network sees, on the device; kept in checkpoints.

    Attributes:
        mean, std: a number a channel, of values in [0, 1].
    """

    channels: int
    image_size: int
    mean: list[float]
    std: list[float]

    def __call__(self, images: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
        """uint8 [batch, channels, height, width] to normalised `dtype` of the same shape."""
        values = images.to(device, non_blocking=True).to(dtype).div_(255)
        mean, std = (torch.tensor(v, device=device, dtype=dtype).view(-1, 1, 1) for v in (self.mean, self.std))
        return values.sub_(mean).div_(std)

    def undo(self, images: Tensor) -> Tensor:
        """Normalised images back to [0, 1], for people to look at."""
        mean, std = (torch.tensor(v, device=images.device).view(-1, 1, 1) for v in (self.mean, self.std))
        return images.float().mul(std).add(mean).clamp(0, 1)

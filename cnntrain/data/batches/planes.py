"""Images as PIL's pictures and back: grey and RGB as one, of other channels or 16 bits one of each channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional

from cnntrain.core.rounding import rounded
from cnntrain.data.base import GREY_OR_RGB


def pictures(image: Tensor) -> list[Image.Image]:
    """Of [channels, height, width]; channels of 16 bits in floating point, which holds them exactly."""
    if image.dtype == torch.uint8 and len(image) in GREY_OR_RGB:
        return [functional.to_pil_image(image)]
    values = image.numpy() if image.dtype == torch.uint8 else image.numpy().astype(np.float32)
    return [Image.fromarray(plane) for plane in values]


def joined(found: Sequence[Image.Image], dtype: torch.dtype) -> Tensor:
    """[channels, height, width] of what `pictures` gave, rounded to whole numbers of the type's range."""
    return rounded(torch.cat([functional.pil_to_tensor(each) for each in found]), dtype)

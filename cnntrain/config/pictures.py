"""What of a configuration is for pictures alone: grey or RGB, of 8 bits."""

from __future__ import annotations

from cnntrain.augment.base import Augment
from cnntrain.data.base import Data


def require_pictures(augment: Augment, data: Data) -> None:
    """Raises ValueError where colours are to be varied of images that have none."""
    if data.has_pictures or not augment.of_colours:
        return
    raise ValueError(
        f"{' and '.join(augment.of_colours)}: of the colours of 8-bit grey or RGB images, and data.channels="
        f"{data.channels} data.depth={data.depth} has others: leave it out; flips, crops, affine, erasing, mixup and "
        "cutmix go with them"
    )

"""Made images as files, and many of them on one sheet."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from cnntrain.core.files import write_atomic, writing

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "samples"  # of a run, with a sheet for each epoch
SHEET = "samples.png"  # its name, where there is one
SHOWN = 64  # images on it
WHITE = 255
EPOCH = re.compile(r"epoch_(\d+)\.png", re.ASCII)


def name_of(epoch: int) -> str:
    """Of an epoch's sheet."""
    return f"epoch_{epoch:03}"


def sheets(run: Path) -> dict[int, Path]:
    """Those that a run's folder has, by epoch."""
    named = ((EPOCH.fullmatch(each.name), each) for each in (run / FOLDER).glob("epoch_*.png"))
    return dict(sorted((int(found[1]), each) for found, each in named if found is not None))


def write_sheet(path: Path, images: Tensor) -> None:
    """Write images, uint8 [images, channels, height, width], as one PNG with about as many rows as columns.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    from torchvision.utils import make_grid

    write_picture(path, make_grid(images.cpu(), nrow=max(1, round(len(images) ** 0.5)), padding=1, pad_value=WHITE))


def write_picture(path: Path, image: Tensor) -> None:
    """Write an image, uint8 [channels, height, width], as a PNG; its folder is made.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    from torchvision.transforms.v2.functional import to_pil_image

    content = BytesIO()
    to_pil_image(image.cpu()).save(content, "PNG")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content.getvalue())

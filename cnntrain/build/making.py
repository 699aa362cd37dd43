"""Images that a generator makes, as files."""

from __future__ import annotations

from pathlib import Path

import torch

from cnntrain.build.trained import Trained
from cnntrain.core import signals
from cnntrain.core.adversaries import pictures
from cnntrain.core.errors import InputError
from cnntrain.runs.sheet import SHEET, SHOWN, write_picture, write_sheet


@torch.inference_mode()
def make(found: Trained, count: int, folder: Path) -> int:
    """Write ``00001.png`` and so on into a new folder, and the first of them on a sheet, ``samples.png``; a signal ends
    it after a batch. The number of an image says all that it is made of.

    Returns:
        How many were made.

    Raises:
        InputError: the folder is there already.
        RunError: the disk is full or cannot be written.
    """
    if folder.exists():
        raise InputError(f"output={folder} is there already: delete it, or give another name")
    batch, done = found.config.data.batch_size, 0
    with signals.handled():
        while done < count and (not done or signals.received() is None):
            images = pictures(found.network, range(done, min(done + batch, count)))
            for number, image in enumerate(images, done + 1):
                write_picture(folder / f"{number:05}.png", image)
            done += len(images)
    write_sheet(folder / SHEET, pictures(found.network, range(min(done, SHOWN))))
    return done

"""What a run gives its frozen part: images, and what the values at the cut depend on besides the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cnntrain.core import store
from cnntrain.data.batches.loader import Loader


@dataclass(frozen=True)
class Around:
    """The surroundings of a frozen part.

    Attributes:
        loaders: of images, for train and val.
        image_shape: of one, as the network is given it.
        batch_size: images that are computed at once.
        depends_on: plain values that the activations depend on besides the network, its weights and the data's part.
        model, data, augment: names, for people.
        is_random: whether the augmentation is.
        say: shows a line.
        heed: raises StopError where a signal came; all ranks call it equally often.
        free_memory, free_disk: bytes: of RAM (True: of what processes share), and where a folder is.
    """

    loaders: Mapping[str, Loader]
    image_shape: tuple[int, ...]
    batch_size: int
    device: torch.device
    precision: AbstractContextManager[Any]
    seed: int
    depends_on: Mapping[str, Any]
    model: str
    data: str
    augment: str
    is_random: bool
    say: Callable[[str], None]
    heed: Callable[[], None]
    free_memory: Callable[[bool], int] = store.free_memory
    free_disk: Callable[[Path], int] = store.free_disk

    def feeds(self) -> tuple[Loader, Loader]:
        return self.loaders["train"], self.loaders["val"]

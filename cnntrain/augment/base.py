"""What an augmentation policy is. Importing this module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Transform = Callable[[Any, Any], tuple[Any, Any]]


class Geometry(Protocol):
    """How an evaluation sees an image: what an augmentation varies."""

    @property
    def image_size(self) -> int:
        """Pixels a side of what the network sees."""
        ...

    @property
    def interpolation(self) -> str: ...

    @property
    def fit(self) -> Transform:
        """A sample of any size to one of `image_size`."""
        ...


@dataclass(frozen=True)
class Augment:
    """The keys that every policy has. A policy is a subclass in a file of its own.

    A transform takes a whole sample, an image as uint8 [channels, height, width] and its target (a label, or
    torchvision's tv_tensors: masks, boxes), and returns one of the size that the network sees; normalisation happens
    later, a batch at a time on the device.
    """

    name: str
    # data: mean and deviation of the training part; model: those that the pretrained weights were trained with;
    # auto: the model's where weights are loaded, else the data's
    normalize: Literal["auto", "data", "model"]

    def train_transform(self, seen: Geometry) -> Transform:
        """The transform of training samples; its randomness is drawn from torch's global generator."""
        raise NotImplementedError

    @property
    def is_random(self) -> bool:
        """Whether `train_transform` differs from one epoch to the next."""
        return True

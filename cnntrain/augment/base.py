"""What an augmentation policy is. Importing this module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Augment:
    """The keys that every policy has. A policy is a subclass in a file of its own.

    The transforms work on uint8 images [channels, height, width] of any size and return uint8 images of the size that
    the network sees; normalisation happens later, a batch at a time on the device.
    """

    name: str
    # data: mean and deviation of the training part; model: those that the pretrained weights were trained with;
    # auto: the model's where weights are loaded, else the data's
    normalize: Literal["auto", "data", "model"]

    def train_transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        """The transform of training images; its randomness is drawn from torch's global generator."""
        raise NotImplementedError

    def eval_transform(self, image_size: int) -> Callable[[Tensor], Tensor]:
        """The deterministic transform of validation and test images: shorter side to size, then the centre."""
        return resize_and_crop(image_size, image_size)

    @property
    def is_random(self) -> bool:
        """Whether `train_transform` differs from one epoch to the next."""
        return True


def resize_and_crop(resize: int, crop: int) -> Callable[[Tensor], Tensor]:
    """Shorter side to `resize` pixels (bilinear, antialiased), then the central `crop` pixels.

    An image [channels, height, width] that has the size already is returned as it is, at no cost.
    """
    from torchvision.transforms import v2

    transform = v2.Compose([v2.Resize(resize, antialias=True), v2.CenterCrop(crop)])
    return partial(_unless_fit, transform, (resize, resize), (crop, crop))


def _unless_fit(
    transform: Callable[[Tensor], Tensor], resized: tuple[int, int], cropped: tuple[int, int], image: Tensor
) -> Tensor:
    return image if image.shape[-2:] == resized == cropped else transform(image)

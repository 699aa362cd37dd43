"""What an augmentation policy is. Importing this module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from cnntrain.core.draws import Draws

# a whole sample to one: an image, uint8 [channels, height, width], and its target, which may be a mask
Transform = Callable[[Any, Any], tuple[Any, Any]]
# the same with the numbers that were drawn for the sample
DrawnTransform = Callable[[Any, Any, "Draws"], tuple[Any, Any]]


class BatchTransform(Protocol):
    """Many samples at once, on the device that they are on."""

    def __call__(self, images: Tensor, targets: Any, draws: Draws) -> tuple[Tensor, Any]:
        """uint8 [samples, channels, height, width], and targets, to such of the size that the network sees."""
        ...


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

    It defines `batch_transform`, or for one that needs the image in its own size, or is simpler, `train_transform`. A
    sample is an image as uint8 [channels, height, width] and its target (a label, or torchvision's tv_tensors: masks).
    What becomes of it has the size that the network sees; normalisation happens later. What is drawn for a sample is a
    function of (seed, epoch, position), so it is seen alike by worker processes, in a batch on the device, on any
    rank and after a resume.
    """

    name: str
    # data: mean and deviation of the training part; model: those that the pretrained weights were trained with;
    # auto: the model's where weights are loaded, else the data's
    normalize: Literal["auto", "data", "model"]

    def train_transform(self, seen: Geometry) -> Transform:
        """What is done to each sample as it is read; its randomness is drawn from torch's global generator."""
        return seen.fit

    def drawn_transform(self, seen: Geometry) -> DrawnTransform:
        """The same, its randomness drawn from the sample's numbers."""
        from cnntrain.core.draws import Seeded

        return Seeded(self.train_transform(seen))

    def batch_transform(self, seen: Geometry) -> BatchTransform | None:
        """What is done afterwards to many of them at once; None: nothing."""
        return None

    @property
    def is_random(self) -> bool:
        """Whether what is seen differs from one epoch to the next."""
        return True

    @property
    def reads_alike(self) -> bool:
        """Whether each epoch's samples are read alike, so that what was read can be kept."""
        return type(self).train_transform is Augment.train_transform and (
            type(self).drawn_transform is Augment.drawn_transform
        )

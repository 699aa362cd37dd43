"""What an augmentation policy is. Importing this module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

from annotated_types import Interval

from cnntrain.core.limits import Count, NotNegative, Share

if TYPE_CHECKING:
    from torch import Tensor

    from cnntrain.augment.batched.mixing import Mixing
    from cnntrain.core.draws import Draws

# a whole sample to one: an image, uint8 [channels, height, width], and its target, which may be a mask
Transform = Callable[[Any, Any], tuple[Any, Any]]
# the same with the numbers that were drawn for the sample
DrawnTransform = Callable[[Any, Any, "Draws"], tuple[Any, Any]]


class BatchTransform(Protocol):
    """Many samples at once, on the device that they are on."""

    def __call__(self, images: Tensor, targets: Any, draws: Draws) -> tuple[Tensor, Any]:
        """uint8 [samples, channels, height, width], and targets, to such of the size that the network sees.

        Images of 16 bits come as int32, from 0 to 65535.
        """
        ...


class PackedTransform(Protocol):
    """Many images at once that were brought to one size, whatever theirs was."""

    def __call__(self, images: Tensor, sizes: Tensor, draws: Draws) -> Tensor:
        """uint8 [images, channels, side, side], and heights and widths before [images, 2], to the size that the network
        sees; of 16 bits int32, as for `BatchTransform`."""
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
    def mean(self) -> Sequence[float]:
        """A number a channel, of values in [0, 1]."""
        ...

    @property
    def std(self) -> Sequence[float]: ...

    @property
    def white(self) -> int:
        """The greatest value of a channel: 255, or 65535 of images of 16 bits."""
        ...

    @property
    def fit(self) -> Transform:
        """A sample of any size to one of `image_size`."""
        ...

    def least(self, side: float) -> int | None:
        """Pixels of the shorter side with which a JPEG is decoded that becomes `side` pixels there; None: all."""
        ...


@dataclass(frozen=True)
class Augment:
    """The keys that every policy has. A policy is a subclass in a file of its own.

    It defines `batch_transform`, or for one that needs the image in its own size, or is simpler, `train_transform`. A
    sample is an image as uint8 [channels, height, width] and its target (a label, or torchvision's tv_tensors: masks).
    What becomes of it has the size that the network sees; normalisation happens later. What is drawn for a sample is a
    function of (seed, epoch, position), so it is seen alike by worker processes, in a batch on the device, on any
    rank and after a resume.

    What follows `normalize` can be added to any policy, and is done after it, in the order of the keys.
    """

    dimensions: ClassVar[frozenset[int]] = frozenset({2})  # of what it is for: 1 of signals, 2 of images, 3 of volumes
    moves_masks: ClassVar[bool] = False  # whether masks, as tv_tensors, go along with their images

    name: str
    # data: mean and deviation of the training part; model: those that the pretrained weights were trained with;
    # auto: the model's where weights are loaded, else the data's
    normalize: Literal["auto", "data", "model"]
    _: KW_ONLY
    auto: Literal["trivial", "rand", "autoaugment"] | None
    auto_policy: Literal["imagenet", "cifar10", "svhn"]  # of autoaugment: the set it was searched on
    rand_ops: Count  # of rand: operations an image
    rand_magnitude: Annotated[int, Interval(ge=0, le=30)]  # of rand: their strength
    colour_jitter: list[NotNegative] | None  # brightness, contrast, saturation, hue
    greyscale: Share  # probability
    erasing: Share  # probability
    mixup: NotNegative  # alpha; 0: none
    cutmix: NotNegative  # alpha; 0: none

    def __post_init__(self) -> None:
        jitter = self.colour_jitter
        if jitter is not None and (len(jitter) != 4 or jitter[3] > 0.5):
            raise ValueError(
                f"colour_jitter must be [brightness, contrast, saturation, hue], hue at most 0.5, not {jitter}"
            )

    @property
    def moves_boxes(self) -> bool:
        """Whether boxes go along with the images."""
        return False

    def train_transform(self, seen: Geometry) -> Transform:
        """What is done to each sample as it is read; its randomness is drawn from torch's global generator."""
        return seen.fit

    def drawn_transform(self, seen: Geometry) -> DrawnTransform:
        """The same, its randomness drawn from the sample's numbers."""
        from cnntrain.core.draws import Seeded

        return Seeded(self.train_transform(seen))

    def packed_transform(self, seen: Geometry) -> PackedTransform | None:
        """What `drawn_transform` draws, of packed images; None: only the images themselves will do."""
        return None

    def batch_transform(self, seen: Geometry) -> BatchTransform | None:
        """What the policy does afterwards to many of them at once; None: nothing."""
        return None

    def whole_transform(self, seen: Geometry) -> BatchTransform | None:
        """All that is done to many of them at once: `batch_transform`, then what is added; None: nothing."""
        from cnntrain.augment.batched.choice import InTurn

        policys = self.batch_transform(seen)
        steps = [*([policys] if policys is not None else []), *self._added(seen)]
        return InTurn(steps) if steps else None

    def _added(self, seen: Geometry) -> list[BatchTransform]:
        if not self._adds:
            return []
        from cnntrain.augment.batched.auto import AutoAugment, RandAugment, TrivialAugment
        from cnntrain.augment.batched.erasing import RandomErasing
        from cnntrain.augment.batched.jitter import ColourJitter, Greyscale

        steps: list[BatchTransform] = []
        if self.auto == "trivial":
            steps.append(TrivialAugment())
        elif self.auto == "rand":
            steps.append(RandAugment(self.rand_ops, self.rand_magnitude))
        elif self.auto == "autoaugment":
            steps.append(AutoAugment(self.auto_policy))
        if self.colour_jitter is not None and any(self.colour_jitter):
            steps.append(ColourJitter(self.colour_jitter))
        if self.greyscale:
            steps.append(Greyscale(self.greyscale))
        if self.erasing:
            steps.append(RandomErasing(self.erasing, seen.mean, seen.white))
        return steps

    def mixing(self, classes: int) -> Mixing | None:
        """What is done to pairs of samples after they are normalised; None: nothing."""
        if not self.mixes:
            return None
        from cnntrain.augment.batched.mixing import Mixing

        return Mixing(self.mixup, self.cutmix, classes)

    @property
    def mixes(self) -> bool:
        return bool(self.mixup or self.cutmix)

    @property
    def _adds(self) -> bool:
        return bool(self.auto or any(self.colour_jitter or ()) or self.greyscale or self.erasing)

    @property
    def of_colours(self) -> list[str]:
        """The keys, with their values, of operations on the colours of pictures: grey or RGB, of 8 bits."""
        values = {"auto": self.auto, "colour_jitter": self.colour_jitter, "greyscale": self.greyscale}
        added = {"colour_jitter": any(self.colour_jitter or ())}
        return [f"augment.{key}={value}" for key, value in values.items() if added.get(key, value)]

    @property
    def in_words(self) -> str:
        """The policy and what is added to it."""
        added = {
            self.auto: self.auto,
            "colour jitter": any(self.colour_jitter or ()),
            "greys": self.greyscale,
            "erasing": self.erasing,
            "mixup": self.mixup,
            "cutmix": self.cutmix,
        }
        return " + ".join([self.name, *(str(name) for name, value in added.items() if value)])

    @property
    def varies(self) -> bool:
        """Whether what the policy itself gives differs from one epoch to the next."""
        return True

    @property
    def is_random(self) -> bool:
        """Whether what is seen does, with all that is added."""
        return self.varies or self._adds or self.mixes

    @property
    def reads_alike(self) -> bool:
        """Whether each epoch's samples are read alike, so that what was read can be kept."""
        return type(self).train_transform is Augment.train_transform and (
            type(self).drawn_transform is Augment.drawn_transform
        )

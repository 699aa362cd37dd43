"""From images, signals or volumes to what the network sees: one description, by which a run is trained, judged and
used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from math import ceil, floor
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.functional import pil_modes_mapping
from torchvision.transforms.v2 import functional

from cnntrain.core.limits import Count, Proportion
from cnntrain.core.targets import IGNORE
from cnntrain.data.base import NUMBERS, Background, Crop, Reading, is_picture
from cnntrain.data.batches.long_images import middle
from cnntrain.data.batches.planes import joined, pictures
from cnntrain.data.batches.shaped import AsItIs, Frames
from cnntrain.data.sets.bands import first_shown
from cnntrain.data.sets.dataset import Images, at_least

DRAFTED = 2  # times the pixels a side that are needed, at least: the resize that follows still averages
LONG = 16  # times as long as wide is an image of which only the middle is resized


@dataclass(frozen=True)
class Preprocess:
    """What becomes of an image of any size; kept in checkpoints.

    Attributes:
        image_size: pixels a side of what the network sees.
        crop: center: the shorter side is resized, and what sticks out is cut off; pad: the longer side, and a border
            is added; squash: both, whatever the shape was.
        crop_fraction: what the network sees of the resized side.
        interpolation: by torchvision's name: nearest, bilinear, bicubic, ...
        mean, std: a number a channel, of values in [0, 1].
        background: what transparent images are laid on.
        depth: bits a channel of the images, which are uint8 or uint16; 32: signals, float32, whose `mean` and `std` are
            of their values as they are.
        jpeg_draft: whether JPEG files are decoded with fewer pixels, of which at least `DRAFTED` times as many as are
            needed are left a side.
        sides: of what is no image: the length of signals; frames, height and width of volumes, of which each frame is
            seen as an image. `image_size` is the last of them.
    """

    channels: Count
    image_size: Count
    crop: Crop
    crop_fraction: Proportion
    interpolation: Literal["nearest", "nearest-exact", "bilinear", "bicubic", "box", "hamming", "lanczos"]
    mean: list[float]
    std: list[float]
    background: Background
    depth: Literal[8, 16, 32] = 8
    jpeg_draft: bool = False
    sides: list[Count] | None = None

    def __post_init__(self) -> None:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"mean and std must be {self.channels} numbers each, one a channel")
        if self.sides is not None and (len(self.sides) not in (1, 3) or self.sides[-1] != self.image_size):
            raise ValueError(f"sides must be one or three numbers, the last {self.image_size}, not {self.sides}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input: channels, then length; height and width; or frames, height and width."""
        return (self.channels, *(self.sides or (self.image_size, self.image_size)))

    @property
    def dimensions(self) -> int:
        """1 of signals, 2 of images, 3 of volumes."""
        return len(self.shape) - 1

    def changed(self, values: Mapping[str, Any]) -> Preprocess:
        """With other values; those of another `image_size` are a volume's sides, too."""
        if self.dimensions == 3 and "image_size" in values:
            size = values["image_size"]
            return replace(self, **values, sides=[*(self.sides or [])[:1], size, size])
        return replace(self, **values)

    def with_frames(self, frames: int) -> Preprocess:
        """A volume's, of so many frames."""
        return replace(self, sides=[frames, self.image_size, self.image_size])

    def least(self, side: float) -> int | None:
        """Pixels of the shorter side with which a JPEG is decoded that becomes `side` pixels there; None: all,
        as where the resize takes single ones of them."""
        averages = not self.interpolation.startswith("nearest")
        return ceil(DRAFTED * side) if self.jpeg_draft and averages else None

    def drafted(self, images: Images) -> Images:
        """Images decoded with as many pixels as `fit` needs."""
        least = self.fit.least
        return images if least is None else at_least(images, least)

    @property
    def depends_on(self) -> dict[str, Any]:
        """What tells images that are seen otherwise apart, as plain values."""
        plain = {"jpeg_draft": False, "sides": None}  # and not told, so that what was kept before there was it is found
        return {key: value for key, value in asdict(self).items() if key not in plain or value != plain[key]}

    @property
    def reading(self) -> Reading:
        """How files are decoded for it."""
        return Reading(self.channels, self.background, self.depth, self.fit.least)

    @property
    def white(self) -> int:
        """The greatest value of an image's channel; 1 of signals, which have none."""
        return 1 if self.depth == NUMBERS else 2**self.depth - 1

    @property
    def fit(self) -> Fit | Frames | AsItIs:
        """A sample of any size to one of `shape`, as an evaluation sees it.

        The image is resized by PIL: it gives the pixels that timm's transforms give, from which torchvision's on
        tensors differ by a grey level here and there. An image of the size already is returned as it is, at no cost.
        Of other channels than grey or RGB, or 16 bits, each channel is resized by itself.
        """
        if self.dimensions == 1:
            return AsItIs(self.shape)
        fit = Fit(self)
        return fit if self.sides is None else Frames(self.sides[0], fit)

    def __call__(self, images: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
        """uint8, uint16 or float32 [batch, *shape] to normalised `dtype` of the same shape."""
        if self.depth > 8 and dtype not in (torch.float32, torch.float64):  # which have too few digits for the values
            return self(images, device, torch.float32).to(dtype)
        images = images.to(device, non_blocking=True)
        if images.ndim == 4 and images.shape[1] > 1 and images.is_contiguous(memory_format=torch.channels_last):
            count, channels, height, width = images.shape
            scale, shift = self._scale_and_shift(width, device, dtype)
            rows = images.permute(0, 2, 3, 1).view(count, height, width * channels)  # so that the kernel has long ones
            return _scaled(rows, scale, shift).view(count, height, width, channels).permute(0, 3, 1, 2)
        scale, shift = self._scale_and_shift(1, device, dtype)
        return _scaled(images, *(each.view(-1, *[1] * self.dimensions) for each in (scale, shift)))

    def _scale_and_shift(self, times: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        return _scale_and_shift((*self.mean,), (*self.std,), self.white, times, device, dtype)

    def undo(self, inputs: Tensor) -> Tensor:
        """What is normalised back to what people look at: images and volumes to [0, 1], grey or RGB, of other channels
        see `shown`; signals to their values."""
        ones = [1] * self.dimensions
        mean, std = (torch.tensor(v, device=inputs.device).view(-1, *ones) for v in (self.mean, self.std))
        values = inputs.float().mul(std).add(mean)
        if self.depth == NUMBERS:
            return values
        return first_shown(values.clamp(0, 1).movedim(-1 - self.dimensions, -3)).movedim(-3, -1 - self.dimensions)


def _scaled(values: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Values times `scale` plus `shift`, in their type, in the memory into which whole numbers are converted."""
    converted = values.to(scale.dtype)
    return torch.addcmul(shift, converted, scale, out=None if values.is_floating_point() else converted)


@lru_cache(maxsize=32)  # a copy to a GPU in each step would wait for it
def _scale_and_shift(
    mean: tuple[float, ...], std: tuple[float, ...], white: int, times: int, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """[times x channels] each: a value from 0 to `white` times the one plus the other is normalised."""
    center, deviation = (torch.tensor(each, device=device, dtype=torch.float64) for each in (mean, std))
    return tuple(each.repeat(times).to(dtype) for each in (1 / (white * deviation), -center / deviation))  # type: ignore[return-value]


class Fit:
    """The geometry of a `Preprocess`, on whole samples; can be pickled.

    Attributes:
        least: see `Preprocess.least`.
    """

    def __init__(self, seen: Preprocess):
        size = seen.image_size
        scaled = floor(size / seen.crop_fraction)
        how = InterpolationMode(seen.interpolation)
        resize = {"center": [scaled], "squash": [scaled, scaled]}
        self.size: tuple[int, int] = (size, size)
        self.least = seen.least(scaled)
        self.changes_nothing_of_its_size = scaled == size
        fill = [round(seen.white * each) for each in seen.mean]
        fills = [fill] if is_picture(seen.channels, seen.depth) else [[each] for each in fill]
        self.transforms: list[v2.Compose] = []  # of each of an image's pictures
        for each in fills:
            steps: list[Any]
            if seen.crop == "pad":
                steps = [_ResizeLonger(scaled, how), _Pad(size, each), v2.CenterCrop(size)]
            else:
                steps = [_CutLong(scaled, how)] if seen.crop == "center" else []
                steps += [v2.Resize(resize[seen.crop], interpolation=how), v2.CenterCrop(size)]
            self.transforms.append(v2.Compose(steps))

    def __call__(self, image: Any, target: Any) -> tuple[Any, Any]:
        if self.changes_nothing_of_its_size and tuple(image.shape[-2:]) == self.size:
            return image, target
        first, *others = pictures(image)
        fitted, target = self.transforms[0](first, target)
        rest = [transform(each) for transform, each in zip(self.transforms[1:], others, strict=True)]
        return joined([fitted, *rest], image.dtype), target


class _CutLong(v2.Transform):
    """Of an image that is very long the middle alone, resized: what follows finds the pixels that it would have found
    in the whole, of which 1x4000 pixels would become 224x896000."""

    def __init__(self, size: int, interpolation: InterpolationMode):
        super().__init__()
        self.size = size
        self.interpolation = interpolation

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        sides = functional.get_size(flat_inputs[0])
        long = sides.index(max(sides))
        length = int(self.size * sides[long] / sides[1 - long])  # as torchvision rounds it
        kept = self.size + (length - self.size) % 4  # so that halves are rounded as in the whole
        return {"long": long, "length": length, "start": (length - kept) // 2, "stop": (length + kept) // 2}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        long, length, start, stop = params.values()
        if length <= LONG * self.size:
            return inpt
        if isinstance(inpt, Image.Image):
            return middle(inpt, 1 - long, self.size, length, (start, stop), pil_modes_mapping[self.interpolation])
        whole, place, kept = [self.size] * 2, [0, 0], [self.size] * 2
        whole[long], place[long], kept[long] = length, start, stop - start
        resized = self._call_kernel(functional.resize, inpt, whole, self.interpolation)
        return self._call_kernel(functional.crop, resized, *place, *kept)


class _ResizeLonger(v2.Transform):
    """The longer side to `size` pixels, the other in proportion."""

    def __init__(self, size: int, interpolation: InterpolationMode):
        super().__init__()
        self.size = size
        self.interpolation = interpolation

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = functional.get_size(flat_inputs[0])
        ratio = max(height, width) / self.size
        return {"size": [max(1, round(height / ratio)), max(1, round(width / ratio))]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(functional.resize, inpt, params["size"], self.interpolation)


class _Pad(v2.Transform):
    """A border, up to `size` pixels a side, of the colour `fill`."""

    def __init__(self, size: int, fill: list[int]):
        super().__init__()
        self.size = size
        self.fill = fill

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = functional.get_size(flat_inputs[0])
        missing = [max(0, self.size - width), max(0, self.size - height)]
        return {"padding": [each // 2 for each in missing] + [(each + 1) // 2 for each in missing]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        fill = IGNORE if isinstance(inpt, tv_tensors.Mask) else self.fill
        return self._call_kernel(functional.pad, inpt, params["padding"], fill=fill)

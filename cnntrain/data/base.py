"""What a data source is: a configuration that loads a `DataSet`. Importing this module imports nothing heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge

from cnntrain.core.limits import Byte, Count, Place, Proportion, Whole
from cnntrain.core.paths import absolute
from cnntrain.core.targets import Target
from cnntrain.core.units import bytes_of

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet, Labelled


Crop = Literal["center", "pad", "squash"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]  # what tensors can be resized by, too
Background = Literal["white", "black"] | list[Byte]
GREY_OR_RGB = (1, 3)  # channels
COLOURS = {"white": [255, 255, 255], "black": [0, 0, 0]}


def rgb(background: Background) -> list[int]:
    """Red, green and blue, from 0 to 255."""
    return COLOURS[background] if isinstance(background, str) else background


def is_picture(channels: int, depth: int) -> bool:
    """Whether such images are grey or RGB of 8 bits, what operations on colours are for."""
    return channels in GREY_OR_RGB and depth == 8


@dataclass(frozen=True)
class Reading:
    """What becomes of an image file where it is decoded: see `decode`.

    Attributes:
        background: what transparent images are laid on.
        depth: bits a channel.
        least: pixels; of a JPEG's sides a half, a quarter or an eighth is decoded, as long as both have so many; None:
            the whole.
    """

    channels: int
    background: Background
    depth: int = 8
    least: int | None = None


NUMBERS = 32  # as `depth`: float32, as they are
DIMENSIONS = {1: "signals", 2: "images", 3: "volumes"}  # what is of so many besides the channels


@dataclass(frozen=True)
class Data:
    """The keys that every data source has.

    A source is a subclass in a file of its own; it adds its own keys and defines `load`. Heavy imports belong inside
    `load`, because the configuration is checked before torch is imported.
    """

    divides: ClassVar[bool] = False  # whether `load` heeds `folds` and `group`
    of_files: ClassVar[bool] = False  # whether its images are image files, decoded when they are asked for
    any_channels: ClassVar[bool] = False  # whether it has images of channels other than grey and RGB, and of 16 bits
    dimensions: ClassVar[Literal[1, 2, 3]] = 2  # of signals, images, or volumes: images one behind the other

    name: str
    source: str | None  # what reads it; None: the source of its name
    root: Place | None  # where the files are, or are downloaded to
    channels: int  # 1 = grey, 3 = RGB; images are converted to it; of any other number as the files have them
    depth: Literal[8, 16, 32]  # bits a channel that images are read with; of signals 32: float32
    image_size: Count | None  # that the network sees; None: the loaded weights' own, else the set's, else the model's
    crop: Crop | None  # of what is not square; None: the weights' own, or center
    crop_fraction: Proportion | None  # of the resized side that the network sees; None: the weights' own, or all
    interpolation: Interpolation | None  # None: the weights' own, or bilinear
    background: Background  # what transparent images are laid on: white, black, or [red, green, blue] from 0 to 255
    jpeg_draft: bool  # whether JPEG files are decoded with fewer pixels, where the network sees less than half of them
    batch_size: Count  # images an optimizer step, over all ranks and accumulation steps
    num_workers: Whole | None  # loader processes a rank; None: as many as it has cores
    resident: Literal["auto", "ram", "device", "off"]  # whether images are read once and kept in memory
    resident_budget: str  # bytes at most of them, such as 8GB
    pack_size: Count | None  # a side of what random crops are taken of, in memory; None: of the images themselves
    cache_dir: Place | None  # where they are left for other runs; None: in the user's cache folder
    split: list[float] | None  # fractions train, val[, test] where the set does not come in these parts
    group: str | None  # what must not be on both sides of a split: a regular expression on ids with one group
    folds: Annotated[int, Ge(2)] | None  # parts of equal size, of which each is the test part once
    fold: Whole | None  # which of them is the test part
    split_seed: Whole  # kept apart from `seed`, so that runs of several seeds share one test set
    classes: list[str] | None  # names; only these, in the set's order
    train_per_class: Count | None  # at most so many training images of each class, drawn by `split_seed`
    balance: bool  # whether an epoch shows each class equally often
    on_bad: Literal["stop", "skip"]  # whether images that cannot be read end a run, or are left out before it begins
    download: bool

    @property
    def reading(self) -> Reading:
        return Reading(self.channels, self.background, self.depth)

    def __post_init__(self) -> None:
        self._check_pixels()
        if self.dimensions == 1:
            self._refuse_of_images()
        if self.jpeg_draft and not self.of_files:
            raise ValueError(f"jpeg_draft has no meaning for data={self.name}, which has no JPEG files: leave it out")
        if self.jpeg_draft and self.interpolation == "nearest":
            raise ValueError("jpeg_draft averages pixels, and interpolation=nearest takes single ones: leave one out")
        if len(rgb(self.background)) != 3:
            raise ValueError(f"background must be white, black or [red, green, blue], not {self.background}")
        if bytes_of(self.resident_budget) is None:
            raise ValueError(f"resident_budget must be a size such as 500MB or 8GiB, not {self.resident_budget}")
        if self.pack_size is not None and self.resident == "off":
            raise ValueError(f"pack_size={self.pack_size} is of images in memory, and resident=off keeps none there")
        if self.split is not None:
            _check_fractions(self.split)
        if self.classes is not None:
            _check_classes(self.classes)
        _check_folds(self.folds, self.fold)
        for key, value in (("folds", self.folds), ("group", self.group)):
            if value is not None and not self.divides:
                raise ValueError(f"{key} has no meaning for data={self.name}, whose parts are made and not divided")
        self._check_group()
        if self.balance and self.window is not None:
            raise ValueError("balance draws from the whole training part: it excludes shuffle_window")

    def _check_pixels(self) -> None:
        if self.channels < 1:
            raise ValueError(f"channels must be 1 or more, not {self.channels}")
        if self.channels not in GREY_OR_RGB and not self.any_channels:
            raise ValueError(
                f"channels must be 1 or 3, not {self.channels}, for data={self.name}: imagefolder and csv take others"
            )
        if (self.depth == NUMBERS) != (self.dimensions == 1):
            values = "signals are float32, depth=32" if self.dimensions == 1 else "depth=32 is for signals"
            raise ValueError(f"depth={self.depth} has no meaning for data={self.name}: {values}")
        if self.depth == 16 and not self.any_channels:
            raise ValueError(
                f"depth={self.depth} has no meaning for data={self.name}, whose images have 8 bits: leave it out"
            )

    def _refuse_of_images(self) -> None:
        """A setting is honoured or answered: what is done to images alone is done to no signal."""
        asked = {key: getattr(self, key) for key in ("image_size", "crop", "crop_fraction", "interpolation")}
        asked |= {"pack_size": self.pack_size, "background": None if self.background == "white" else self.background}
        wrong = [f"{key}={value}" for key, value in asked.items() if value is not None]
        if wrong:
            raise ValueError(
                f"{' and '.join(wrong)}: for images, and data={self.name} has signals, which are seen in their own "
                "length: leave it out"
            )

    def _check_group(self) -> None:
        if self.group is None:
            return
        try:
            groups = re.compile(self.group).groups
        except re.error as error:
            raise ValueError(f"group={self.group} is no regular expression: {error}") from error
        if groups != 1:
            raise ValueError(f"group={self.group} must have one (group), such as '(patient[0-9]+)', not {groups}")

    @property
    def class_count(self) -> int | None:
        """How many classes the set has, where that is known without reading it."""
        return None

    @property
    def outputs(self) -> int | None:
        """How many classes are asked for, where that is known without reading the set."""
        return self.class_count if self.classes is None else len(self.classes)

    @property
    def several_labels(self) -> bool:
        """Whether an image has any number of labels; else it has one."""
        return False

    @property
    def target(self) -> Target:
        """What is given of an image, which is what the task must learn."""
        return "labels" if self.several_labels else "label"

    def learned(self, target: Target) -> Data:
        """The same for a task that learns that, where it may give one thing or another."""
        return self

    @property
    def has_pictures(self) -> bool:
        """Whether its images are grey or RGB, of 8 bits."""
        return self.dimensions == 2 and is_picture(self.channels, self.depth)

    @property
    def clip_length(self) -> int | None:
        """Frames of a volume that the network sees; None: as many as the set's have, else as the model's own."""
        return None

    @property
    def window(self) -> int | None:
        """Training images that are in random order among one another; None: all."""
        return None

    def places(self) -> dict[str, str]:
        """The keys that say where files are, with absolute paths: the same files from whatever folder."""
        return {} if self.root is None else {"root": absolute(self.root)}

    def load(self) -> DataSet:
        """Read the set, downloading it first where that is wanted and possible.

        Raises:
            InputError: files are missing, damaged, or do not form a data set; the message names them.
        """
        raise NotImplementedError

    def labelled(self, part: str) -> Labelled:
        """What an evaluation of other images than a run's is over: a part of the set; where it comes in no parts, all.

        Raises:
            InputError: as `load`, or it has no such part.
        """
        return self.load().labelled(part)


def _check_fractions(split: list[float]) -> None:
    if len(split) not in (2, 3):
        raise ValueError(f"split needs two or three fractions (train, val[, test]), not {len(split)}")
    if any(not 0 < fraction < 1 for fraction in split) or abs(sum(split) - 1) > 1e-6:
        raise ValueError(f"split must be fractions between 0 and 1 that sum to 1, not {split}")


def _check_folds(folds: int | None, fold: int | None) -> None:
    if folds is None and fold is not None:
        raise ValueError(f"fold={fold} needs folds, of which it is one: data.folds=5")
    if folds is not None and (fold is None or fold >= folds):
        every = ",".join(map(str, range(folds)))
        raise ValueError(
            f"fold must be one of 0 to {folds - 1}, not {fold}: cnntrain -m data.folds={folds} data.fold={every}"
        )


def _check_classes(classes: list[str]) -> None:
    twice = sorted({name for name in classes if classes.count(name) > 1})
    if twice:
        raise ValueError(f"classes must name each class once, not {', '.join(twice)} twice")
    if len(classes) < 2:
        raise ValueError(f"classes needs at least two classes, not {classes}; null takes all")

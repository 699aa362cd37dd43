"""A data set in memory: its parts (train, val, test), each a row of images with integer labels."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import torch
from torchvision import tv_tensors

from cnntrain.core.errors import InputError


class Images(Protocol):
    """A row of images: ``images[i]`` is a uint8 tensor [channels, height, width], or see `arrays.Arrays`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> torch.Tensor: ...


@runtime_checkable
class Draftable(Protocol):
    """Images of which some can be decoded with fewer pixels than they have."""

    def at_least(self, side: int) -> Images:
        """The same, of which JPEG files are decoded with so few pixels that the shorter side still has `side`."""
        ...


def at_least(images: Images, side: int) -> Images:
    """The same, drafted (see `Draftable`) where they can be."""
    return images.at_least(side) if isinstance(images, Draftable) else images


class Targets(Protocol):
    """A row of targets that are more than labels."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any:
        """That of a sample, as torchvision's tv_tensors, which go with their image through every transform: a mask is
        uint8 [height, width]."""
        ...

    def joint(self, batch: Any) -> Any:
        """The plain tensors of a batch as such tv_tensors."""
        ...

    def seen(self, target: Any) -> Any:
        """What became of a sample's, as plain tensors of the same shapes for each sample."""
        ...


@dataclass
class Part:
    """One part of a data set.

    Attributes:
        images: the images, decoded on access.
        labels: int64 array [n], positions in `DataSet.classes`; where an image has any number of them, bool
            [n, classes].
        ids: one name a sample (a path below the root, or ``<part>/<index>``), which per-sample reports print.
        groups: what a table's column of groups says of each sample; None where there is none.
        targets: what is learned of each sample where that is more than its labels, which then are the classes that it
            has anywhere.
    """

    images: Images
    labels: np.ndarray
    ids: Sequence[str]
    groups: Sequence[str] | None = None
    targets: Targets | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def at_least(self, side: int) -> Self:
        """The same part with images that are drafted where they can be: see `Draftable`."""
        other = copy(self)
        other.images = at_least(self.images, side)
        return other

    def counts(self, classes: int) -> np.ndarray:
        """Images of each class, int64 [classes]; one with several labels counts for each."""
        return self.labels.sum(axis=0) if self.labels.ndim == 2 else np.bincount(self.labels, minlength=classes)

    def sample(self, position: int) -> tuple[Any, Any]:
        """An image and its target, as a transform takes them."""
        if self.targets is not None:
            image, target = self.images[position], self.targets[position]
            self._require_size(position, image, target)
            return image, target
        label = self.labels[position]
        return self.images[position], torch.from_numpy(label) if self.labels.ndim == 2 else int(label)

    def _require_size(self, position: int, image: torch.Tensor, target: Any) -> None:
        """Raises InputError where masks or boxes are of an image of another size."""
        is_mask = isinstance(target, tv_tensors.Mask)
        height, width = target.shape[-2:] if is_mask else target["boxes"].canvas_size
        high, wide = image.shape[-2:]
        if (high, wide) != (height, width):
            whose = "its mask of" if is_mask else "its boxes are of an image of"
            raise InputError(f"{self.ids[position]}: is of {wide}x{high} pixels, and {whose} {width}x{height}")


@dataclass
class DataSet:
    """What `Data.load` returns.

    Attributes:
        classes: class names; a label is a position in this list.
        channels: of every image of every part.
        native_size: the side in pixels of a set whose images are all square and alike, the length of signals that
            have one, else None.
        test: None where the source has no test part.
        fingerprint: hex sha256 over the files or arrays and the split indices: equal fingerprints, equal parts.
        modified: digest of when the image files changed; empty where the fingerprint covers their contents.
        notes: lines for the user, on what was asked of the set and could not be had.
        val_of: how many images the val part was drawn from, where a run takes only some of them.
        skipped: ids of images that cannot be read and are in no part, with the kind of the reason.
        native_frames: of volumes that have all as many frames, else None.
    """

    classes: list[str]
    channels: int
    native_size: int | None
    train: Part
    val: Part
    test: Part | None
    fingerprint: str
    modified: str = ""
    notes: list[str] = field(default_factory=list)
    val_of: int | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    native_frames: int | None = None

    def parts(self) -> dict[str, Part]:
        """Those that there are, by name."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}

    def labelled(self, name: str) -> Labelled:
        """One of its parts by itself.

        Raises:
            InputError: there is none.
        """
        part = self.parts().get(name)
        if part is None:
            raise InputError(f"this data set has no {name} part; choose part=val or part=train")
        return Labelled(self.classes, part, name, self.fingerprint, self.notes)


@dataclass
class Labelled:
    """Images to be judged.

    Attributes:
        classes: class names; a label is a position in this list.
        name: of the part that they are: train, val, test, or all where they come in no parts.
        fingerprint: equal fingerprints, equal images.
        notes: lines for the user.
    """

    classes: list[str]
    part: Part
    name: str
    fingerprint: str
    notes: list[str]

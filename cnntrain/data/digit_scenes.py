"""Real digits on canvases, with masks or boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Interval

from cnntrain.core.limits import Count, Whole
from cnntrain.core.paths import absolute
from cnntrain.core.targets import Target
from cnntrain.data.base import Data
from cnntrain.data.sets.checks import refuse_download, refuse_split

if TYPE_CHECKING:
    import numpy as np

    from cnntrain.data.sets.dataset import DataSet, Part, Targets
    from cnntrain.data.sets.scenes import Scene

Pool = tuple["np.ndarray", "np.ndarray"]  # digits, uint8 [n, height, width], and their labels


@dataclass(frozen=True)
class DigitScenes(Data):
    """Scikit-learn's digits, or MNIST's where `root` has them, pasted on noise: what is where is known exactly, for
    each pixel or, with their boxes, for each digit.

    Each scene is a function of (`split_seed`, part, number). The digits of one part are in no other.
    """

    several_labels = True  # of an image as a whole

    train_size: Count  # scenes
    val_size: Count
    test_size: Whole  # 0: no test part
    digits: Annotated[list[int], "the least and the most of a scene"]
    digit_size: list[int]  # pixels of the smallest and the largest, a side
    canvas: Annotated[int, Interval(ge=16, le=512)]  # pixels a side
    gives: Literal["mask", "boxes"] | None  # None: what the task learns

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_download(self)
        refuse_split(self)
        for key, (pair, most) in {"digits": (self.digits, 250), "digit_size": (self.digit_size, self.canvas)}.items():
            if len(pair) != 2 or not 1 <= pair[0] <= pair[1] <= most:
                raise ValueError(f"{key} must be two numbers, the least and the most, from 1 to {most}, not {pair}")

    @property
    def target(self) -> Target:
        return self.gives or "mask"

    @property
    def class_count(self) -> int:
        return 10 if self.target == "boxes" else 11

    def learned(self, target: Target) -> DigitScenes:
        offered: dict[Target, Literal["mask", "boxes"]] = {"mask": "mask", "boxes": "boxes"}
        return replace(self, gives=offered.get(target)) if self.gives is None else self

    def load(self) -> DataSet:
        """The labels of an image are the classes that it has anywhere."""
        import numpy as np

        from cnntrain.data.sets.arrays import Arrays, array_set
        from cnntrain.data.sets.stratify import PARTS

        names = ["background", *map(str, range(10))][-self.class_count :]
        pools, sizes = self._pools(), (self.train_size, self.val_size, self.test_size)
        arrays, masks, targets = {}, {}, {}
        for number, (name, size) in enumerate(zip(PARTS, sizes, strict=True)):
            if not size:
                continue
            scenes = self._scenes(pools[name], number, size)
            masks[name] = np.stack([each.instances if self.target == "boxes" else each.mask for each in scenes])
            targets[name] = self._targets(scenes, masks[name])
            there = np.stack([np.bincount(each.mask.ravel(), minlength=11) > 0 for each in scenes])
            there = there[:, -len(names) :]
            images = np.stack([each.image for each in scenes])[:, None]
            arrays[name] = Arrays(images, there, [f"{name}/{each}" for each in range(size)])
        data = array_set(arrays, names, self.channels)
        parts: dict[str, Part] = {name: replace(part, targets=targets[name]) for name, part in data.parts().items()}
        return replace(
            data, train=parts["train"], val=parts["val"], test=parts.get("test"),
            fingerprint=_with(data.fingerprint, masks),
        )  # fmt: skip

    def _targets(self, scenes: Sequence[Scene], masks: np.ndarray) -> Targets:
        import numpy as np

        from cnntrain.data.sets.boxes import Boxes, Objects
        from cnntrain.data.sets.masks import ArrayMasks

        if self.target == "mask":
            return ArrayMasks(masks)
        found = [Objects(each.boxes.astype(np.float32), each.labels, each.labels < 0) for each in scenes]
        return Boxes(found, self.digits[1], np.full((len(scenes), 2), self.canvas), masks)

    def _scenes(self, pool: Pool, part: int, size: int) -> list[Scene]:
        from cnntrain.data.sets.scenes import Canvas, scene

        canvas = Canvas(self.canvas, *self.digits, *self.digit_size)
        return [scene(*pool, canvas, self.split_seed, part, number) for number in range(size)]

    def _pools(self) -> dict[str, Pool]:
        """The digits of each part; those of MNIST's own test part are of test alone."""
        from cnntrain.data.sets.handwritten import digits as handwritten
        from cnntrain.data.sets.stratify import PARTS, stratified

        names = [str(digit) for digit in range(10)]
        if self.root is not None:
            official = _mnist(absolute(self.root))
            images, labels = official["train"]
            train, val = stratified(labels, [0.9, 0.1], self.split_seed, names)
            pools = {"train": (images[train], labels[train]), "val": (images[val], labels[val])}
            return pools | {"test": official["test"]}
        images, labels = handwritten()
        pieces = stratified(labels, [0.6, 0.2, 0.2], self.split_seed, names)
        return {name: (images[piece], labels[piece]) for name, piece in zip(PARTS, pieces, strict=True)}


def _mnist(root: str) -> dict[str, Pool]:
    """Its own parts.

    Raises:
        InputError: they are not there, or are damaged.
    """
    from pathlib import Path

    from torchvision.datasets import MNIST

    from cnntrain.data.sets.idx import parts_in

    return {name: (each.images[:, 0], each.labels) for name, each in parts_in(Path(root), MNIST, 10).items()}


def _with(fingerprint: str, masks: dict[str, np.ndarray]) -> str:
    import hashlib

    digest = hashlib.sha256(fingerprint.encode())
    for each in masks.values():
        digest.update(each.data)
    return digest.hexdigest()

"""Made-up images, for tests of everything but learning's quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from cnntrain.core.limits import Count, Whole
from cnntrain.data.base import Data
from cnntrain.data.sets.checks import refuse_download, refuse_root, refuse_split

if TYPE_CHECKING:
    import numpy as np

    from cnntrain.data.sets.dataset import DataSet


@dataclass(frozen=True)
class Fake(Data):
    """Each class is a coarse pattern under noise, so a loss falls. Seeded by `split_seed`."""

    num_classes: Annotated[int, Ge(2)]
    train_size: Count  # images
    val_size: Count
    test_size: Whole  # 0: no test part

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_root(self)
        refuse_download(self)
        refuse_split(self)

    @property
    def class_count(self) -> int:
        return self.num_classes

    def load(self) -> DataSet:
        import numpy as np

        from cnntrain.data.sets.arrays import Arrays, array_set
        from cnntrain.data.sets.stratify import PARTS

        patterns = self._patterns()
        parts = {}
        for number, (name, size) in enumerate(
            zip(PARTS, (self.train_size, self.val_size, self.test_size), strict=True)
        ):
            labels = np.arange(size, dtype=np.int64) % self.num_classes
            noise = np.random.default_rng([self.split_seed, 1 + number])
            images = patterns[labels] // 2
            images += noise.integers(0, 128, images.shape, dtype=np.uint8)
            if size:
                parts[name] = Arrays(images, labels, [f"{name}/{i}" for i in range(size)])
        return array_set(parts, [str(label) for label in range(self.num_classes)], self.channels)

    def _patterns(self) -> np.ndarray:
        """uint8 [num_classes, channels, size, size]: 4x4 random squares, drawn out to the image's size."""
        import numpy as np

        size = self.image_size or 32
        squares = np.random.default_rng([self.split_seed, 0]).integers(
            0, 256, (self.num_classes, self.channels, 4, 4), dtype=np.uint8
        )
        place = np.arange(size) * 4 // size
        return squares[:, :, place[:, None], place]

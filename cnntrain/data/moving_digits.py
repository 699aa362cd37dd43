"""A digit that moves in one of eight directions, which is the class: no frame alone tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.core.limits import Count, Whole
from cnntrain.data.base import Data
from cnntrain.data.sets.checks import refuse_download, refuse_root, refuse_split

if TYPE_CHECKING:
    import numpy as np

    from cnntrain.data.sets.dataset import DataSet

# (down, right), pixels a frame at speed 1
DIRECTIONS = {
    "right": (0, 1), "down_right": (1, 1), "down": (1, 0), "down_left": (1, -1),
    "left": (0, -1), "up_left": (-1, -1), "up": (-1, 0), "up_right": (-1, 1),
}  # fmt: skip
SIDE = 24  # pixels, where image_size is null


@dataclass(frozen=True)
class MovingDigits(Data):
    """Scikit-learn's handwritten digits, 8x8 pixels each, on black, moving evenly; what leaves on one side comes in on
    the other, so that every place is as likely in each frame whatever the direction is.

    A sample is a function of (`split_seed`, its part, its index); no image of a digit is in two parts.
    """

    dimensions = 3
    class_count = len(DIRECTIONS)

    frames: Count | None  # that the network sees, from the middles of as many stretches; null: all
    length: Count  # frames of a sample
    speed: Count  # pixels a frame
    train_size: Count  # samples
    val_size: Count
    test_size: Whole  # 0: no test part

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_root(self)
        refuse_download(self)
        refuse_split(self)
        if self.image_size is not None and self.image_size < 16:
            raise ValueError(f"image_size must be 16 or more for data=moving_digits, not {self.image_size}")

    @property
    def clip_length(self) -> int | None:
        return self.frames

    def load(self) -> DataSet:
        import numpy as np

        from cnntrain.data.sets.arrays import Arrays, array_set
        from cnntrain.data.sets.handwritten import digits as handwritten
        from cnntrain.data.sets.stratify import PARTS

        digits, _ = handwritten()
        order = np.random.default_rng([self.split_seed, 0]).permutation(len(digits))
        sixth = len(digits) // 6
        pools = (order[: 4 * sixth], order[4 * sixth : 5 * sixth], order[5 * sixth :])
        parts = {}
        for number, (name, size) in enumerate(
            zip(PARTS, (self.train_size, self.val_size, self.test_size), strict=True)
        ):
            if size:
                volumes = np.stack([self._volume(digits[pools[number]], number, each) for each in range(size)])
                labels = np.arange(size, dtype=np.int64) % len(DIRECTIONS)
                parts[name] = Arrays(volumes[:, None], labels, [f"{name}/{each}" for each in range(size)])
        return array_set(parts, [*DIRECTIONS], self.channels)

    def _volume(self, digits: np.ndarray, part: int, index: int) -> np.ndarray:
        """uint8 [length, side, side], of the class that is the index modulo eight."""
        import numpy as np

        side = self.image_size or SIDE
        draws = np.random.default_rng([self.split_seed, 1 + part, index])
        digit, begin = digits[draws.integers(len(digits))], draws.integers(0, side, 2)
        way = np.array([*DIRECTIONS.values()][index % len(DIRECTIONS)]) * self.speed
        canvas = np.zeros((side, side), np.uint8)
        canvas[: len(digit), : digit.shape[1]] = digit
        return np.stack([np.roll(canvas, begin + way * frame, (0, 1)) for frame in range(self.length)])

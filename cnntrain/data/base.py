"""What a data source is: a configuration that loads a `DataSet`. Importing this module imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnntrain.data.sets.dataset import DataSet


@dataclass
class Data:
    """The keys that every data source has.

    A source is a subclass in a file of its own; it adds its own keys and defines `load`. Heavy imports belong inside
    `load`, because the configuration is checked before torch is imported.
    """

    name: str
    root: str | None  # where the files are, or are downloaded to
    channels: int  # 1 = grey, 3 = RGB; images are converted to it
    image_size: int | None  # pixels a side that the network sees; None: the set's own size, or else the model's
    batch_size: int  # images an optimizer step, over all ranks and accumulation steps
    num_workers: int  # loader processes a rank
    split: list[float] | None  # fractions train, val[, test] where the set does not come in these parts
    split_seed: int  # kept apart from `seed`, so that runs of several seeds share one test set
    classes: list[str] | None  # names; only these, in the set's order
    train_per_class: int | None  # at most so many training images of each class, drawn by `split_seed`
    download: bool

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, not {self.channels}")
        limits = {"batch_size": 1, "num_workers": 0, "image_size": 1, "split_seed": 0, "train_per_class": 1}
        for key, least in limits.items():
            value = getattr(self, key)
            if value is not None and value < least:
                raise ValueError(f"{key} must be at least {least}, not {value}")
        if self.split is not None:
            _check_fractions(self.split)
        if self.classes is not None:
            _check_classes(self.classes)

    @property
    def class_count(self) -> int | None:
        """How many classes the set has, where that is known without reading it."""
        return None

    @property
    def outputs(self) -> int | None:
        """How many classes are asked for, where that is known without reading the set."""
        return self.class_count if self.classes is None else len(self.classes)

    def load(self) -> DataSet:
        """Read the set, downloading it first where that is wanted and possible.

        Raises:
            InputError: files are missing, damaged, or do not form a data set; the message names them.
        """
        raise NotImplementedError


def _check_fractions(split: list[float]) -> None:
    if len(split) not in (2, 3):
        raise ValueError(f"split needs two or three fractions (train, val[, test]), not {len(split)}")
    if any(not 0 < fraction < 1 for fraction in split) or abs(sum(split) - 1) > 1e-6:
        raise ValueError(f"split must be fractions between 0 and 1 that sum to 1, not {split}")


def _check_classes(classes: list[str]) -> None:
    twice = sorted({name for name in classes if classes.count(name) > 1})
    if twice:
        raise ValueError(f"classes must name each class once, not {', '.join(twice)} twice")
    if len(classes) < 2:
        raise ValueError(f"classes needs at least two classes, not {classes}; null takes all")

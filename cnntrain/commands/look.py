"""``cnntrain look``: what a network would see in a training, before there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnntrain.config.schema import Ended, TrainConfig
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.files import write_atomic
from cnntrain.core.limits import Count, Place
from cnntrain.core.words import tell


@dataclass(frozen=True)
class Look(TrainConfig):
    """Takes the keys of a training, of which those that say how it learns have no effect."""

    images: Count
    views: Count
    epoch: Count  # the first one that is shown, from 1 on
    picture: Place

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resume is not None:
            raise ValueError("resume has no meaning for cnntrain look, which trains nothing: leave it out")
        if self.devices > 1:
            raise ValueError(f"devices={self.devices}: images are seen alike on one process and on many: leave it out")
        if Path(self.picture).suffix.lower() not in (".png", ".svg", ".pdf"):
            raise ValueError(f"picture={self.picture} must end in .png, .svg or .pdf")

    def execute(self, typed: Sequence[str]) -> Ended:
        """Draw a row an image, and end with the picture's path."""
        if any(each.lstrip("+").startswith("output=") for each in typed):
            raise ConfigError("output is where runs go, and there is none: give picture=<file>")
        path = Path(self.picture)
        if not path.parent.is_dir():
            raise InputError(f"picture={path}: there is no folder {path.parent}")
        from cnntrain.build import views
        from cnntrain.study import augmented
        from cnntrain.study.curves import picture

        found = views.look(self, self.images, range(self.epoch - 1, self.epoch - 1 + self.views), tell)
        title = (
            f"{self.data.name}, {self.augment.in_words} augmentation, seed {self.seed}, as {self.model.name} sees it"
        )
        write_atomic(path, picture(augmented.figure(found, title), path.suffix[1:].lower()))
        return Ended(made=str(path))

"""The mean image of each class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.config.method import EVERY
from cnntrain.study.explain.base import Picture, Pictures

if TYPE_CHECKING:
    from cnntrain.study.explain.subject import Shown, Subject


@dataclass(frozen=True)
class ClassMeans(Pictures):
    """What all images of a class have in common by their pixels alone, and what the network answers to that."""

    dimensions = EVERY

    def of_whole(self, layer: str | None) -> bool:
        return True

    def pictures(self, subject: Subject, shown: Shown) -> Iterator[Picture]:
        """Raises InputError where no image can be read."""
        from cnntrain.study.explain import means

        yield means.picture(subject, shown)

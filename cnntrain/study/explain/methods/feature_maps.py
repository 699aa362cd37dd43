"""What the channels of each stage hold of an image (Zeiler and Fergus 2013, Fig. 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.config.method import EVERY
from cnntrain.core.limits import Count
from cnntrain.study.explain.base import Picture, Pictures

if TYPE_CHECKING:
    from cnntrain.study.explain.subject import Shown, Subject


@dataclass(frozen=True)
class FeatureMaps(Pictures):
    """A grid a stage and image; with a layer of that one alone."""

    dimensions = EVERY
    uses_layer = True
    has_layer = False

    channels: Count  # of a grid, at most: those that vary most

    def pictures(self, subject: Subject, shown: Shown) -> Iterator[Picture]:
        """Raises InputError where no layer, or not the one that is asked for, gives maps."""
        from cnntrain.study.explain import activity

        yield from activity.grids(subject, shown, self.channels)

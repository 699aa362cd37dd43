"""The parts of images that excite a unit most (Zeiler and Fergus 2013, Fig. 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.core.limits import Count, Whole
from cnntrain.study.explain.base import Picture, Pictures

if TYPE_CHECKING:
    from cnntrain.study.explain.subject import Shown, Subject


@dataclass(frozen=True)
class TopPatches(Pictures):
    """Of each unit the receptive fields where it is excited most, one an image."""

    uses_layer = True

    units: list[Whole] | None  # channels of the layer; None: the first ones
    patches: Count  # of a unit

    def pictures(self, subject: Subject, shown: Shown) -> Iterator[Picture]:
        """Raises ConfigError where a unit is none of the layer's, InputError where the layer gives no maps."""
        from cnntrain.study.explain import patches

        yield from patches.pictures(subject, shown, self.units, self.patches)

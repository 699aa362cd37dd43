"""The weights of convolutions as pictures (Krizhevsky et al. 2012, Fig. 3)."""

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
class Filters(Pictures):
    """Those of the first layer in colour, those of the others channel by channel; with a layer of that one alone."""

    needs_images = False
    dimensions = EVERY
    uses_layer = True
    has_layer = False

    filters: Count  # of a layer, at most
    channels: Count  # of a filter, at most

    def pictures(self, subject: Subject, shown: Shown) -> Iterator[Picture]:
        """Raises InputError where the network, or the layer, has no convolution whose kernel is larger than 1x1."""
        from cnntrain.study.explain import kernels

        yield from kernels.grids(subject, self.filters, self.channels)

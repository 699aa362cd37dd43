"""Activation maximisation (Erhan et al. 2009; Simonyan et al. 2013, arXiv:1312.6034, section 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.core.limits import Count, NotNegative, Positive, Whole
from cnntrain.study.explain.base import Picture, Pictures

if TYPE_CHECKING:
    from cnntrain.study.explain.subject import Shown, Subject


@dataclass(frozen=True)
class Maximise(Pictures):
    """Images that a class's logit, or with a layer a unit of it, likes best: gradient ascent from the mean colour."""

    needs_images = False
    uses_layer = True
    has_layer = False

    classes: list[str] | None  # None: the first ones; without a layer
    units: list[Whole] | None  # channels or features of the layer; None: the first ones
    steps: Count
    rate: Positive  # of a step, in deviations of the network's input
    jitter: Whole  # pixels, at most, by which the image is shifted in each step
    blur_every: Whole  # steps; 0: never
    blur: Positive  # deviation of the blur, in pixels
    variation: NotNegative  # how much neighbouring pixels that differ count against the image

    def of_whole(self, layer: str | None) -> bool:
        return layer is None

    def pictures(self, subject: Subject, shown: Shown) -> Iterator[Picture]:
        """Raises ConfigError where a class or a unit is none of the network's."""
        from cnntrain.study.explain import ascent

        keys = ascent.Ascent(self.steps, self.rate, self.jitter, self.blur_every, self.blur, self.variation)
        yield from ascent.pictures(subject, self.classes, self.units, keys)

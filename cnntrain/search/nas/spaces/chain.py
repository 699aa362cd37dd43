"""The first space of architecture search (Zoph and Le 2017, arXiv:1611.01578, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnntrain.config.nas import Decision, Genotype, Space
from cnntrain.core.limits import Count


@dataclass(frozen=True)
class Chain(Space):
    """Convolutions one after another: of each the filter's height and width, the number of filters, the stride, and for
    each earlier layer whether its map is an input. Inputs are joined in depth; a layer without any takes the image.
    """

    layers: Count
    heights: list[Count]
    widths: list[Count]
    filters: list[Count]
    strides: list[Count]
    skips: bool  # false: each layer takes the one before it

    def __post_init__(self) -> None:
        for name in ("heights", "widths", "filters", "strides"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name}={values} must be a list of different numbers")
        if even := [each for each in (*self.heights, *self.widths) if each % 2 == 0]:
            raise ValueError(f"heights and widths must be odd, so that a filter has a middle, not {even[0]}")

    def decisions(self) -> list[Decision]:
        kinds = {"height": self.heights, "width": self.widths, "filters": self.filters, "stride": self.strides}
        found = []
        for layer in range(self.layers):
            found += [Decision(kind, len(options), layer) for kind, options in kinds.items()]
            found += [Decision("skip", 2, layer, anchor) for anchor in range(layer) if self.skips]
        return found

    def genotype(self, string: Sequence[int]) -> Genotype:
        numbers, layers = iter(string), []
        for layer in range(self.layers):
            found: Genotype = {
                "height": self.heights[next(numbers)],
                "width": self.widths[next(numbers)],
                "filters": self.filters[next(numbers)],
                "stride": self.strides[next(numbers)],
            }
            taken = [each for each in range(layer) if next(numbers)] if self.skips else list(range(layer))[-1:]
            layers.append({**found, "inputs": taken})
        return {"space": "chain", "layers": layers}

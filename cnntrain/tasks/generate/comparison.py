"""Two generators by the images that they make of the same numbers."""

from __future__ import annotations

import torch

from cnntrain.core.adversaries import Adversaries, Seen, made, pixels
from cnntrain.tasks.comparison import Difference
from cnntrain.tasks.generate.metrics import AT_ONCE


class OfMade:
    """Args:
    samples: images that are made, of the numbers of which an evaluation makes its own.
    """

    def __init__(self, samples: int):
        self._samples = samples
        self._networks: list[Adversaries] = []
        self._like = torch.empty(0)

    def add(self, one: Seen, other: Seen) -> None:
        self._networks, self._like = [one.network, other.network], one.images

    @torch.inference_mode()
    def difference(self) -> Difference:
        changed, compared, largest = 0, 0, torch.zeros((), dtype=torch.float64)
        for start in range(0, self._samples, AT_ONCE):
            positions = range(start, min(start + AT_ONCE, self._samples))
            first, second = (made(each, positions, self._like) for each in self._networks)
            changed += int((pixels(first) != pixels(second)).sum())
            compared += first.numel()
            largest = torch.maximum(largest, (first.double() - second.double()).abs().max().cpu())  # which keeps nan
        words = f"values of {self._samples:,} made images", "a value from -1 to 1"
        return Difference(changed, compared, float(largest), *words)

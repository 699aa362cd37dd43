"""Linear probing, then fine-tuning (LP-FT, Kumar et al. 2022, arXiv:2202.10054).

A classifier that starts at random sends gradients through the whole network that spoil its features before it has
learned to use them, so it learns first, alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnntrain.core.limits import Count, Positive
from cnntrain.transfer.base import PartlyFrozen


@dataclass(frozen=True)
class HeadThenFull(PartlyFrozen):
    probe_epochs: Count  # in which only the classifier is trained
    full_lr_multiplier: Positive  # on every learning rate afterwards

    def frozen(self, groups: Sequence[str], epoch: int) -> list[bool]:
        return [epoch < self.probe_epochs] * (len(groups) - 1) + [False]

    def rate_multiplier(self, epoch: int) -> float:
        return 1.0 if epoch < self.probe_epochs else self.full_lr_multiplier

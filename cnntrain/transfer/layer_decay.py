"""Everything is trained, the slower the further from the classifier.

Discriminative fine-tuning (Howard and Ruder 2018), with rates that fall by one factor a layer as in ELECTRA (Clark et
al. 2020) and BEiT (Bao et al. 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntrain.core.limits import Proportion
from cnntrain.transfer.base import Transfer

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class LayerDecay(Transfer):
    decay: Proportion  # of the rate, from a layer to the one before it

    def frozen(self, groups: Sequence[str], epoch: int) -> list[bool]:
        return [False] * len(groups)

    def rate_multipliers(self, model: nn.Module, head: set[str]) -> dict[str, float]:
        """``decay ** n`` for a layer that stands n before the classifier's; the body's fastest first, the head last."""
        from cnntrain.transfer.groups import layer_numbers

        numbers = layer_numbers(model)
        last = max(numbers.values())
        distance = {name: last - number for name, number in numbers.items()}
        return {
            name: self.decay ** distance[name] * (self.head_lr_multiplier if name in head else 1.0)
            for name in sorted(numbers, key=lambda name: (name in head, distance[name]))
        }

"""The control of every transfer: random weights, everything trained (the baseline of Yosinski et al. 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnntrain.transfer.base import Transfer


@dataclass(frozen=True)
class Scratch(Transfer):
    @property
    def wants_pretrained(self) -> bool:
        return False

    @property
    def loads_weights(self) -> bool:
        return False

    def frozen(self, groups: Sequence[str], epoch: int) -> list[bool]:
        return [False] * len(groups)

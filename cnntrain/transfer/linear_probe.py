"""Only the classifier is trained, on features that stay as they were loaded (Alain and Bengio 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnntrain.transfer.base import PartlyFrozen


@dataclass(frozen=True)
class LinearProbe(PartlyFrozen):
    def frozen(self, groups: Sequence[str], epoch: int) -> list[bool]:
        return [True] * (len(groups) - 1) + [False]

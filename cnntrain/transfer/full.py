"""Everything is trained, from random weights or from loaded ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnntrain.transfer.base import Transfer


@dataclass(frozen=True)
class Full(Transfer):
    @property
    def wants_pretrained(self) -> bool:
        return False

    def frozen(self, groups: Sequence[str], epoch: int) -> list[bool]:
        return [False] * len(groups)

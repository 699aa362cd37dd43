"""The classifier is trained first, then one more group from the last to the first (ULMFiT, Howard and Ruder 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnntrain.core.errors import ConfigError
from cnntrain.core.limits import Count
from cnntrain.transfer.base import PartlyFrozen


@dataclass(frozen=True)
class Gradual(PartlyFrozen):
    every: Count  # epochs from one group to the next
    groups: Count | None  # how many groups before the head are trained in the end; None: all

    def frozen(self, groups: Sequence[str], epoch: int) -> list[bool]:
        body = len(groups) - 1
        if self.groups is not None and self.groups > body:
            raise ConfigError(
                f"transfer.groups={self.groups}: this model has {body} groups before its head; from the stem on they "
                f"are {', '.join(groups[:-1])}"
            )
        trained = min(epoch // self.every, body if self.groups is None else self.groups)
        return [index < body - trained for index in range(len(groups))]

"""The first groups are frozen, the later ones and the classifier are trained (Yosinski et al. 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnntrain.core.errors import ConfigError
from cnntrain.transfer.base import PartlyFrozen


@dataclass(frozen=True)
class FreezeDepth(PartlyFrozen):
    depth: int  # how many groups are frozen, from the stem on; negative: all groups but so many

    def frozen(self, groups: Sequence[str], epoch: int) -> list[bool]:
        body = len(groups) - 1
        if not -body <= self.depth <= body:
            raise ConfigError(
                f"transfer.depth={self.depth}: this model has {body} groups before its head, so depth goes from "
                f"{-body} to {body}; from the stem on they are {', '.join(groups[:-1])}"
            )
        count = self.depth if self.depth >= 0 else body + self.depth
        return [index < count for index in range(len(groups))]

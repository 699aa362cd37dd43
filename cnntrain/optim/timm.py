"""Any optimizer of timm's, by its name in ``timm.optim``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnntrain.core.errors import ConfigError
from cnntrain.core.words import suggest
from cnntrain.optim.base import Optim

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Timm(Optim):
    opt: str
    args: dict[str, Any]

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Raises ConfigError where timm knows no such optimizer, or it no such argument."""
        from timm.optim import create_optimizer_v2, list_optimizers

        known = [str(each) for each in list_optimizers()]
        if self.opt not in known:
            raise ConfigError(f"optim.opt={self.opt} is no optimizer of timm's{suggest(self.opt, known)}")
        try:
            return create_optimizer_v2(groups, opt=self.opt, lr=self.lr, weight_decay=self.weight_decay, **self.args)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"optim.opt={self.opt} with optim.args={self.args}: {error}") from error

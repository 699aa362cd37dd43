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
    fixed = ("opt", "args")

    opt: str
    args: dict[str, Any]

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Raises ConfigError where timm knows no such optimizer, it no such argument, or it cannot step here."""
        from timm.optim import get_optimizer_info, list_optimizers

        known = [str(each) for each in list_optimizers()]
        if self.opt not in known:
            raise ConfigError(f"optim.opt={self.opt} is no optimizer of timm's{suggest(self.opt, known)}")
        if get_optimizer_info(self.opt).second_order:
            raise ConfigError(
                f"optim.opt={self.opt} needs second derivatives, and training computes first ones: take another"
            )
        try:
            self._try(groups[0]["params"][0][1])
            return self._create(groups)
        except Exception as error:  # what an optimizer and the libraries behind it raise, of nearly any type
            args = f" with optim.args={self.args}" if self.args else ""
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise ConfigError(f"optim.opt={self.opt}{args} cannot be used here: {reason}") from error

    def _create(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        from timm.optim import create_optimizer_v2

        return create_optimizer_v2(groups, opt=self.opt, lr=self.lr, weight_decay=self.weight_decay, **self.args)

    def _try(self, like: torch.Tensor) -> None:
        """A step on a parameter of its own: some find out only there that they lack a device, a graph or a library."""
        import torch

        one = torch.nn.Parameter(torch.ones(2, 2, device=like.device, dtype=like.dtype))
        one.grad = torch.ones_like(one)
        self._create([{"params": [one]}]).step()

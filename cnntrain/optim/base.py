"""What an optimizer's configuration is. Importing this module imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnntrain.core.limits import NotNegative, Positive

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Optim:
    """The keys that every optimizer has. An optimizer is a subclass in a file of its own.

    `fixed` are keys of its own that a run under way cannot change, since the form or the meaning of what a checkpoint
    holds depends on them.
    """

    fixed: ClassVar[tuple[str, ...]] = ()

    name: str
    lr: Positive
    weight_decay: NotNegative
    decay_norms_and_biases: bool  # False: no weight decay on parameters of one dimension
    norm_bias_lr_multiplier: Positive  # on lr, for the biases of norms; their weight decay is divided by it

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimizer over parameter groups that carry their own ``lr`` and ``weight_decay``."""
        raise NotImplementedError

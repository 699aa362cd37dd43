"""What an optimizer's configuration is. Importing this module imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass
class Optim:
    """The keys that every optimizer has. An optimizer is a subclass in a file of its own."""

    name: str
    lr: float
    weight_decay: float
    decay_norms_and_biases: bool  # False: no weight decay on parameters of one dimension

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ValueError(f"lr must be above 0, not {self.lr}")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay must be at least 0, not {self.weight_decay}")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimizer over parameter groups that carry their own ``lr`` and ``weight_decay``."""
        raise NotImplementedError


def check_fraction(key: str, value: float) -> None:
    """Raise ValueError unless 0 <= value < 1, the range of momenta and averaging coefficients."""
    if not 0 <= value < 1:
        raise ValueError(f"{key} must be in [0, 1), not {value}")

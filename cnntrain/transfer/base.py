"""What a transfer policy is: a pure function from (groups, epoch) to what is trained. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class Transfer:
    """The keys that every policy has. A policy is a subclass in a file of its own."""

    name: str
    head_lr_multiplier: float  # on optim.lr, for the classifier's parameters

    def __post_init__(self) -> None:
        if not self.head_lr_multiplier > 0:
            raise ValueError(f"head_lr_multiplier must be above 0, not {self.head_lr_multiplier}")

    @property
    def wants_pretrained(self) -> bool:
        """Whether ``model.pretrained`` is implied: features that stay as they are must have been learned somewhere."""
        return True

    def frozen(self, groups: Sequence[str], epoch: int) -> list[bool]:
        """Whether each group is frozen in `epoch` (counted from 0).

        Args:
            groups: names of the model's coarse groups from the stem on; the last is the head (the classifier).

        Raises:
            ConfigError: the policy does not fit a model of that many groups.
        """
        raise NotImplementedError

"""All that comes before a named stage or layer is frozen; it and what follows are trained (Yosinski et al. 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from cnntrain.core.errors import ConfigError
from cnntrain.core.words import suggest
from cnntrain.transfer.base import PartlyFrozen

if TYPE_CHECKING:
    from cnntrain.transfer.groups import Group


@dataclass(frozen=True)
class FreezeUntil(PartlyFrozen):
    until: str | None  # the first group or module that is trained; required

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.until:
            raise ValueError(
                "until is required: transfer.until=<the first stage or layer to train>, such as layer4; "
                "cnntrain summary model=<model> lists the layers"
            )

    def frozen_parameters(self, groups: Sequence[Group], epoch: int) -> set[str]:
        """What comes before `until` in the order of the groups, and within a group in the order of definition.

        The classifier is trained in any case, also where `until` is a later one of its modules.
        """
        body, named = [name for group in groups[:-1] for name in group.parameters], self._named(groups)
        return set(takewhile(lambda name: name not in named, body))

    def _named(self, groups: Sequence[Group]) -> set[str]:
        """The parameters of the group called `until`, else of the module."""
        assert self.until is not None
        for group in reversed(groups):  # "head" is the classifier, also where a module before it is called that
            if group.name == self.until:
                return set(group.parameters)
        every = [name for group in groups for name in group.parameters]
        inside = {name for name in every if name.startswith(f"{self.until}.")}
        if not inside:
            modules = {name[:end] for name in every for end, letter in enumerate(name) if letter == "."}
            hint = suggest(self.until, modules | {group.name for group in groups})
            raise ConfigError(
                f"transfer.until={self.until} is no stage and no module with parameters of this model{hint}; "
                f"its stages are {', '.join(group.name for group in groups)}"
            )
        return inside

"""Auxiliary heads: classifiers on inner maps, whose losses give the layers below them a gradient of their own.

They serve training alone. A head that is in evaluation mode does not run, so they are gone when the network is
evaluated or exported, and one whose own stage is frozen, where nothing below it could learn from it, is gone in
training too. What counts a network counts it without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any, ClassVar

from torch import Tensor, nn

from cnntrain.models.base import Net


class AuxiliaryNet(Net):
    """Returns (logits, one head's logits, the next one's, ...) in training, and logits alone in evaluation.

    `AUXILIARY` names the heads that it may have, in order, and the stage that each reads.
    """

    AUXILIARY: ClassVar[Mapping[str, str]]

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Coarse groups, by which networks are frozen, have a head with the stage that it reads; fine ones, by which
        learning rates fall from layer to layer, have it behind the classifier, being as new."""
        matcher = super().group_matcher(coarse)
        for path, stage in self.AUXILIARY.items():
            pattern = rf"^{re.escape(path)}(?:\.|$)"
            if not coarse:
                matcher[path] = pattern
            elif stage in matcher:
                matcher[stage] += f"|{pattern}"
        return matcher

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:  # type: ignore[override]
        running = {path: head for path, head in heads(self).items() if head.training}
        if not running:
            return super().forward(x)
        x, maps = self.forward_intermediates(x, [self.stage_names.index(self.AUXILIARY[path]) for path in running])
        return self.forward_head(x), *(head(inner) for head, inner in zip(running.values(), maps, strict=True))


def heads(model: nn.Module) -> dict[str, nn.Module]:
    """The auxiliary heads that `model` has, under their paths."""
    found = {path: _find(model, path) for path in possible_heads(model)}
    return {path: head for path, head in found.items() if head is not None}


def possible_heads(model: nn.Module) -> tuple[str, ...]:
    """The paths of the auxiliary heads that the architecture knows, whether or not `model` was built with them."""
    return tuple(getattr(model, "AUXILIARY", ()))


def parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters of the auxiliary heads."""
    for head in heads(model).values():
        yield from head.parameters()


def main_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters of the network as it is evaluated: all but those of auxiliary heads."""
    auxiliary = set(map(id, parameters(model)))
    return (each for each in model.parameters() if id(each) not in auxiliary)


def remove(model: nn.Module) -> None:
    """Take the auxiliary heads off a model that is not to be trained any more: torch.export, for one, keeps the weights
    of modules that do not run."""
    for path in heads(model):
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, None)


def _find(model: Any, path: str) -> nn.Module | None:
    return reduce(lambda module, name: getattr(module, name, None), path.split("."), model)

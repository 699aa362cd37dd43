"""Freezing as it must be: no gradient, and evaluation mode too, so that BatchNorm and dropout stand still."""

from __future__ import annotations

import sys

from torch import Tensor, nn

from cnntrain.core.digest import digest
from cnntrain.transfer.base import Transfer
from cnntrain.transfer.groups import HEAD, Group, coarse_groups


class Freezing:
    """Applies a transfer policy to a model, afresh for every epoch.

    Attributes:
        groups: the model's groups, the head last.
        names: the parameters that are frozen in the epoch last applied.
        modules: by name, those that stay in evaluation mode in it.
    """

    def __init__(self, model: nn.Module, policy: Transfer):
        self.model = model
        self.policy = policy
        self.groups: list[Group] = coarse_groups(model)
        self.names: set[str] = set()
        self.apply(epoch=0)

    def planned(self, epoch: int) -> set[str]:
        """Names of the parameters that are frozen in `epoch`: by the policy, and those that the model fixes."""
        return self.policy.frozen_parameters(self.groups, epoch) | set(getattr(self.model, "fixed", ()))

    def apply(self, epoch: int) -> None:
        """Set what is trained in `epoch`. What is frozen depends on (config, epoch) alone, never on the past."""
        names = self.names = self.planned(epoch)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name not in names)
        self.modules = frozen_modules(self.model, names)

    def changes(self, epochs: int) -> list[dict[int, str]]:
        """For each group its state (frozen, trained or partly frozen) in epoch 0, and at each later epoch of a change.

        An entry at `epochs` is what the policy would make of the group in the end, had the run more epochs.
        """
        found: list[dict[int, str]] = [{} for _ in self.groups]
        for epoch in [*range(epochs), sys.maxsize]:
            names = self.policy.frozen_parameters(self.groups, epoch)
            for group, seen in zip(self.groups, found, strict=True):
                frozen = sum(name in names for name in group.parameters)
                state = "trained" if not frozen else "frozen" if frozen == len(group.parameters) else "partly frozen"
                if not seen or state != seen[max(seen)]:
                    seen[min(epoch, epochs)] = state
        return found

    def train_mode(self) -> None:
        """``model.train()``, except that frozen modules stay in evaluation mode."""
        self.model.train()
        for module in self.modules.values():
            module.training = False

    @property
    def head(self) -> set[str]:
        """Names of the classifier's parameters."""
        assert self.groups[-1].name == HEAD
        return set(self.groups[-1].parameters)

    def values(self) -> dict[str, Tensor]:
        """All that stands still: frozen parameters, and the buffers of frozen modules."""
        return {**self.frozen_parameters(), **self.frozen_buffers()}

    def digest(self) -> str:
        """Of all that stands still."""
        return digest(self.values())

    def frozen_parameters(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self.model.named_parameters() if not p.requires_grad}

    def frozen_buffers(self) -> dict[str, Tensor]:
        """The buffers of frozen modules, such as BatchNorm's running statistics."""
        return {
            f"{path}.{name}".lstrip("."): buffer
            for path, module in self.modules.items()
            for name, buffer in module.named_buffers(recurse=False)
        }


def frozen_modules(model: nn.Module, frozen: set[str]) -> dict[str, nn.Module]:
    """The modules, by name, that must stay in evaluation mode when the parameters named in `frozen` do not move.

    A module with parameters is frozen when all of them are, its own and those of the modules in it. One without
    (dropout, pooling, an activation) is frozen in a frozen container; elsewhere it goes with its neighbours in the
    order of definition: it is frozen when both the next module with parameters before it and the next after it are, so
    dropout in front of a trained classifier stays on.
    """
    modules = dict(model.named_modules())
    own = {
        path: all(f"{path}.{name}".lstrip(".") in frozen for name, _ in module.named_parameters(recurse=False))
        for path, module in modules.items()
        if any(True for _ in module.parameters(recurse=False))
    }
    order = list(modules)
    before = _nearest(order, own)
    after = _nearest(order[::-1], own)
    result = {}
    for path, module in modules.items():
        inside = [own[each] for each in own if each == path or each.startswith(f"{path}." if path else "")]
        neighbours = [before[path], after[path]]
        in_frozen = path.rpartition(".")[0] in result and path != ""
        if all(inside) if inside else in_frozen or (all(each is not False for each in neighbours) and any(neighbours)):
            result[path] = module
    return result


def _nearest(order: list[str], own: dict[str, bool]) -> dict[str, bool | None]:
    """For each path the state of the last module with parameters up to it in `order`; None before the first."""
    nearest: dict[str, bool | None] = {}
    last: bool | None = None
    for path in order:
        last = own.get(path, last)
        nearest[path] = last
    return nearest

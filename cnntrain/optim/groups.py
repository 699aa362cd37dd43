"""Parameter groups: which parameters decay, and which are the head with its own learning rate."""

from __future__ import annotations

from typing import Any

from torch import nn

from cnntrain.optim.base import Optim


def parameter_groups(model: nn.Module, optim: Optim, head: set[str], head_lr_multiplier: float) -> list[dict[str, Any]]:
    """Every parameter of `model`, frozen or not, in at most four groups: (body | head) x (decayed | not).

    Frozen parameters belong too, since a policy may train them in a later epoch: an optimizer passes over a parameter
    without a gradient, so it neither moves nor decays. Each group keeps its unscheduled rate as ``base_lr``.

    Args:
        head: names of the classifier's parameters.
    """
    exempt: set[str] = getattr(model, "no_weight_decay", set)()  # such as PReLU slopes, as the paper asks
    members: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decays = name not in exempt and (optim.decay_norms_and_biases or parameter.ndim > 1)
        members.setdefault((name in head, decays), []).append(parameter)
    groups = []
    for (in_head, decays), parameters in sorted(members.items()):
        rate = optim.lr * (head_lr_multiplier if in_head else 1.0)
        decay = optim.weight_decay if decays else 0.0
        groups.append({"params": parameters, "lr": rate, "base_lr": rate, "weight_decay": decay})
    return groups

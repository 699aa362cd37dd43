"""Whether a network is too deep for what it is, and whether anything holds it back from learning by heart."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import timm.layers
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from cnntrain.study.anatomy.layers import depth, measure
from cnntrain.study.anatomy.recorder import Layer
from cnntrain.study.diagnosis.subject import OK, SUSPICIOUS, WRONG, Finding, Subject

DEEP, DEEP_NORMALISED = 20, 30  # layers in a row
GAP = 0.05  # between the errors of val and train
SHRINKS, VANISHES = 1.0, 10.0  # of an epoch's weight decay, as the exponent of the weights
STRONG = 0.8  # a probability of dropout


def shortest(rows: Sequence[Layer]) -> int:
    """Convolutions and linear layers on the shortest path from the image to the last output: all of a plain net, few of
    one with shortcuts."""
    found: list[int] = []
    for row in rows:
        found.append(row.weighted + min((found[each] if each >= 0 else 0 for each in row.inputs), default=0))
    return found[-1] if found else 0


def too_deep(subject: Subject) -> Finding:
    """By the layers in a row past which no shortcut leads (He et al. 2016: plain nets of 34 layers train worse than
    those of 18)."""
    images = subject.train.images
    rows, _ = measure(deepcopy(subject.initial), images.shape[1:])
    in_a_row, longest = shortest(rows), depth(rows)
    normalised = any("Norm" in type(each).__name__ for each in subject.initial.modules())
    saw = f"{longest} layers, {in_a_row} without a way past, {'' if normalised else 'not '}normalised"
    numbers = {"depth": longest, "in_a_row": in_a_row, "normalised": normalised}
    name = "not too deep without shortcuts"
    if in_a_row <= (DEEP_NORMALISED if normalised else DEEP):
        return Finding(name, OK, saw, "", numbers)
    status = SUSPICIOUS if normalised else WRONG
    return Finding(name, status, saw, "a net with shortcuts (model=resnet20), or of fewer layers", numbers)


def regularised(subject: Subject) -> Finding:
    """By what holds the weights back, and for a run by how much worse val is than the images that it has learned."""
    config, errors = subject.config, subject.errors
    shrink = config.optim.lr * config.optim.weight_decay * subject.steps_per_epoch
    dropped = max(map(_dropped, subject.initial.modules()), default=0.0)
    present = {
        f"optim.weight_decay={config.optim.weight_decay:g}": config.optim.weight_decay > 0,
        f"dropout {dropped:g}": dropped > 0,
        f"augment={config.augment.name}": config.augment.is_random,
        f"trainer.label_smoothing={config.trainer.label_smoothing:g}": config.trainer.label_smoothing > 0,
        f"trainer.early_stopping={config.trainer.early_stopping}": config.trainer.early_stopping is not None,
        f"transfer={config.transfer.name}": any(not p.requires_grad for p in subject.initial.parameters()),
    }
    names = [name for name, there in present.items() if there]
    gap = errors["val"][0] - errors["train"][0] if errors else None
    behind = "" if gap is None else f"; val is {100 * gap:.1f} points behind train"
    saw = f"{', '.join(names) or 'by nothing'}{behind}"
    numbers = {"by": names, "gap": gap, "decay_per_epoch": shrink}
    name = "regularised"
    if shrink > SHRINKS or dropped > STRONG:
        what = "optim.weight_decay" if shrink > SHRINKS else "model.drop_rate"
        status = WRONG if shrink > VANISHES else SUSPICIOUS
        return Finding(name, status, saw, f"less {what}: it leaves little to learn", numbers)
    if names:
        return Finding(name, OK, saw, "", numbers)
    status = WRONG if gap is not None and gap > GAP else SUSPICIOUS
    return Finding(
        name, status, saw, "optim.weight_decay=0.0005, augment=flip_crop or affine, model.drop_rate", numbers
    )


def _dropped(module: nn.Module) -> float:
    if isinstance(module, _DropoutNd):
        return module.p
    return float(module.drop_prob or 0.0) if isinstance(module, timm.layers.DropPath) else 0.0

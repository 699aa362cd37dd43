"""What leaves the network: its first loss, and what stands behind its classifier."""

from __future__ import annotations

from math import isfinite

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cnntrain.study.diagnosis.subject import BATCH, OK, SUSPICIOUS, WRONG, Finding, Subject, logits

HIGH, VERY_HIGH, LOW = 1.5, 3.0, 0.7  # times ln(classes)
SLACK = 0.5
LARGE = 1e4  # that a classifier's weights are multiplied by
NEAR = 1e-3


@torch.no_grad()
def initial_loss(subject: Subject) -> Finding:
    """The cross-entropy before the first step is ln(classes) where the net prefers no class."""
    few = subject.train.first(2 * BATCH)
    found = float(cross_entropy(logits(subject.fresh()(few.images)).double(), few.labels))
    saw = f"{found:.3g}, ln({subject.classes}) = {subject.chance:.3g}"
    numbers = {"loss": found, "chance": subject.chance}
    name = "first loss = ln(classes)"
    if not isfinite(found) or found > VERY_HIGH * subject.chance + SLACK:
        status = WRONG
    elif found > HIGH * subject.chance + SLACK or (found < LOW * subject.chance and not subject.loads_weights):
        status = SUSPICIOUS
    else:
        return Finding(name, OK, saw, "", numbers)
    advice = "the classifier should begin with small weights, on features of about 1: see the net's code and its input"
    return Finding(name, status, saw, advice, numbers)


@torch.no_grad()
def last_activation(subject: Subject) -> Finding:
    """Nothing may stand behind the classifier: the loss has its own softmax.

    It is told by what the outputs do when the classifier's weights are made very large: those of a sigmoid, a softmax
    or a tanh stay within its range. A ReLU on the maps of a convolution, whose means are the logits (Lin et al. 2013,
    Iandola et al. 2016), is not behind it but before the pool: it cuts off what single places say against a class, and
    whether it lets anything through is for the check of units.
    """
    few, name = subject.train.first(BATCH), "nothing behind the classifier"
    network = subject.fresh()
    classifier = getattr(network, "get_classifier", nn.Identity)()
    maps: list[bool] = []
    if isinstance(classifier, nn.Module):
        classifier.register_forward_hook(lambda module, inputs, out: maps.append(_are_maps(out)))
    plain = logits(network(few.images)).double()
    for each in classifier.parameters() if isinstance(classifier, nn.Module) else ():
        each.mul_(LARGE)
    found = behind(plain, logits(network(few.images)).double())
    saw = f"outputs from {float(plain.min()):.3g} to {float(plain.max()):.3g}"
    numbers = {"low": float(plain.min()), "high": float(plain.max()), "found": found}
    if found is None or (found == "ReLU" and any(maps)):
        return Finding(name, OK, saw, "", numbers)
    status = SUSPICIOUS if found in ("log-softmax", "ReLU") else WRONG
    why = "is taken twice" if "softmax" in found else "bounds what the loss's softmax sees"
    return Finding(name, status, f"{saw}: {found}", f"leave the {found} out of the net: it {why}", numbers)


def _are_maps(out: object) -> bool:
    """Whether there is a pool to come."""
    return isinstance(out, Tensor) and out.ndim == 4 and out.shape[2:].numel() > 1


def behind(plain: Tensor, large: Tensor) -> str | None:
    """What stands behind a classifier, or None.

    Args:
        plain, large: outputs [batch, classes], and those with weights that are `LARGE` times as large.
    """
    one = torch.ones(len(plain), dtype=plain.dtype, device=plain.device)
    if plain.min() >= 0 and torch.allclose(plain.sum(1), one, atol=NEAR):
        return "softmax"
    if torch.allclose(plain.logsumexp(1), 0 * one, atol=NEAR) and torch.allclose(
        large.logsumexp(1), 0 * one, atol=NEAR
    ):
        return "log-softmax"
    if large.min() >= -NEAR and large.max() <= 1 + NEAR:
        return "sigmoid"
    if large.abs().max() <= 1 + NEAR and large.abs().max() > 1 - NEAR:
        return "tanh"
    if plain.min() >= 0 and (plain == 0).double().mean() > NEAR and plain.max() > 0:
        return "ReLU"
    return None

"""Gradients that vanish or explode from layer to layer."""

from __future__ import annotations

from math import inf, isfinite, log
from statistics import median

import torch
from torch import Tensor, nn

from cnntrain.study.diagnosis.subject import BATCH, OK, SUSPICIOUS, WRONG, Finding, Subject, train_mode

LEAST = 4  # layers, for early and late ones to be compared
FAR, VERY_FAR = 1e3, 1e5  # between the early layers and the late ones
LARGE, VERY_LARGE = 10.0, 100.0  # times the weights
TINY = 1e-30


def by_layer(subject: Subject, network: nn.Module) -> dict[str, float]:
    """Of each trained convolution or linear layer the gradient of the loss over its weights, root mean squares both,
    from the image on; BatchNorm sees the batch."""
    train_mode(network)
    weights = {name: p for name, p in network.named_parameters() if p.requires_grad and p.ndim > 1}
    few = subject.train.first(BATCH)
    loss = subject.loss(network, few.images, few.labels)
    found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return {
        name.removesuffix(".weight"): _relative(weight, gradient)
        for (name, weight), gradient in zip(weights.items(), found, strict=True)
    }


def _relative(weight: Tensor, gradient: Tensor | None) -> float:
    if gradient is None:
        return 0.0
    size = float(weight.detach().double().square().mean().sqrt())
    return float(gradient.double().square().mean().sqrt()) / (size or 1.0)


def gradients(subject: Subject) -> Finding:
    """By how much larger or smaller they are in the first third of the layers than in the last, and by their size.

    The size is that of all layers but the last. Of two ratios the one nearer to 1 counts, before the first step and
    after a short trial: branches that begin as nothing, as those of residual nets, have no gradient before it.
    """
    before = by_layer(subject, subject.fresh())
    after = by_layer(subject, subject.scan.network)
    name, numbers = "gradients by layer", {"before": before, "after": after}
    bad = [layer for layer, value in before.items() if not isfinite(value)]
    # what explodes does so on its way back: that of the last layer has come through none, and the weights of a
    # classifier may be small on purpose, so that they are nothing to measure it by
    largest = max(list(before.values())[:-1], default=0.0)
    if bad or largest > LARGE:
        saw = f"no number in {bad[0]}" if bad else f"up to {largest:.2g} times the weights"
        advice = "they explode: trainer.clip_norm=1, a model= with normalisation, smaller initial weights"
        return Finding(name, WRONG if bad or largest > VERY_LARGE else SUSPICIOUS, saw, advice, numbers)
    if not any([*before.values(), *after.values()]):
        return Finding(name, WRONG, "0 in all layers", "nothing is learned: look at the units and the end", numbers)
    if len(before) < LEAST:
        saw = f"{len(before)} layers, up to {max(before.values()):.2g} times the weights"
        return Finding(name, OK, saw, "", numbers)
    ratio = min(map(_ratio, (list(before.values()), list(after.values()))), key=lambda each: abs(log(each)))
    saw = f"those of the first layers are {ratio:.2g} times those of the last, {len(before)} layers"
    if 1 / FAR <= ratio <= FAR:
        return Finding(name, OK, saw, "", numbers)
    status = SUSPICIOUS if 1 / VERY_FAR <= ratio <= VERY_FAR else WRONG
    advice = (
        "they vanish: a model= with shortcuts or normalisation, ReLU instead of sigmoid"
        if ratio < 1
        else "the last layers get little: smaller weights there, or another model="
    )
    return Finding(name, status, saw, advice, numbers)


def _ratio(values: list[float]) -> float:
    """Of the early layers to the late ones; what is no number, or 0, is as far from 1 as can be."""
    third = len(values) // 3
    early, late = max(values[:third]), median(values[-third:])
    return early / late if 0 < early < inf and 0 < late < inf else TINY if late > early else 1 / TINY

"""Units that are dead or saturated: whose output is the same whatever the image, so that no gradient passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from cnntrain.study.diagnosis.subject import OK, SUSPICIOUS, WRONG, Finding, Sample, Subject

IMAGES = 128
MANY, MOST = 0.5, 0.9  # of a layer's units
FLAT = 0.99  # of a unit's values
EDGE = 0.01  # of the range of a sigmoid or a tanh, at its ends
RECTIFIERS = {"relu", "relu_", "hardtanh", "hardtanh_"}  # the latter is ReLU6
RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


class Watch(TorchDispatchMode):
    """Sees every activation of a forward pass, be it a module's or a function's.

    Attributes:
        shares: of each activation in turn its name and the share of its units, channels or features, that are dead
            (always 0) or saturated (nearly always at an end of the range).
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.shares: list[tuple[str, str, float]] = []
        self._path = [""]
        self._handles = []
        for path, module in network.named_modules():
            self._handles.append(module.register_forward_pre_hook(self._enter(path)))
            self._handles.append(module.register_forward_hook(self._leave, always_call=True))

    def close(self) -> None:
        for each in self._handles:
            each.remove()

    def _enter(self, path: str) -> Any:
        return lambda module, inputs: self._path.append(path)

    def _leave(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        self._path.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        kind = name.strip("_")
        if name in RECTIFIERS and out.ndim > 1 and (kind != "hardtanh" or out.min() >= 0):
            self.shares.append((self._path[-1] or kind, "dead", _share(out == 0, 1.0)))
        elif kind in RANGES and out.ndim > 1:
            low, high = RANGES[kind]
            edge = EDGE * (high - low)
            self.shares.append((self._path[-1] or kind, "saturated", _share((out < low + edge) | (out > high - edge))))
        return out


def _share(flags: Tensor, least: float = FLAT) -> float:
    """Of the units [batch, units, ...] those that are flagged in at least this share of images and places."""
    each = flags.movedim(1, 0).flatten(1).double().mean(1)
    return float((each >= least).double().mean())


@torch.no_grad()
def watched(network: nn.Module, sample: Sample) -> list[tuple[str, str, float]]:
    """See `Watch.shares`; in the mode in which the network is."""
    watch = Watch(network)
    try:
        with watch:
            network(sample.images)
    finally:
        watch.close()
    return watch.shares


def units(subject: Subject) -> Finding:
    """By the worst layer, of the initial network and of the trained one."""
    few = subject.train.first(IMAGES)
    found = [("before training", *each) for each in watched(subject.fresh(), few)]
    if subject.trained is not None:
        found += [("trained", *each) for each in watched(subject.trained.eval(), few)]
    name = "units neither dead nor saturated"
    if not found:
        return Finding(name, OK, "no ReLU, sigmoid or tanh")
    when, layer, how, share = max(found, key=lambda each: each[-1])
    saw = f"at most {share:.0%} of a layer's units {how}: {layer}, {when}"
    status = OK if share < MANY else SUSPICIOUS if share < MOST else WRONG
    numbers = {"layers": [{"when": a, "layer": b, "how": c, "share": d} for a, b, c, d in found]}
    advice = (
        "" if status == OK else "lower optim.lr, and look at the net's initial weights and biases; or another model="
    )
    return Finding(name, status, saw, advice, numbers)

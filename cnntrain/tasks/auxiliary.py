"""The loss of networks with one output, or with auxiliary ones besides it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Outputs = Tensor | tuple[Tensor, ...]


def main(outputs: Outputs) -> Tensor:
    """The main logits, which are judged."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def with_auxiliary(outputs: Outputs, aux_weight: float, loss: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """The loss of the main logits plus those of auxiliary ones (GoogLeNet, Inception-v3) at a weight, and the main
    logits, which are judged."""
    logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
    total = loss(logits)
    for each in auxiliary:
        total = total + aux_weight * loss(each)
    return total, logits

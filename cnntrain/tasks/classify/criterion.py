"""What is minimised, on networks with one output, with auxiliary ones, or with many trained side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

Outputs = Tensor | tuple[Tensor, ...]


class Criterion(nn.Module):
    """Cross-entropy of the logits, plus that of auxiliary logits (GoogLeNet, Inception-v3) at a weight.

    Targets are labels, int64 [batch], or probabilities [batch, classes]; label smoothing mixes either with even odds.
    """

    def __init__(self, label_smoothing: float = 0.0, aux_weight: float = 0.0):
        super().__init__()
        self.cross_entropy = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        self.aux_weight = aux_weight

    def forward(self, outputs: Outputs, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, a scalar, and the main logits [batch, classes] that are judged.

        Of classifiers trained side by side the logits are [settings, batch, classes] and the losses [settings]: their
        sum has for each of them the gradient that it would have alone.
        """
        logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = self._means(logits, targets)
        for each in auxiliary:
            loss = loss + self.aux_weight * self._means(each, targets)
        return loss, logits

    def _means(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Means over the batch, the last dimension but one of `logits`."""
        if targets.is_floating_point():  # in the more exact type of the two, under autocast too
            logits, targets = logits.to(kind := torch.promote_types(logits.dtype, targets.dtype)), targets.to(kind)
        if logits.ndim == 2:
            return self.cross_entropy(logits, targets)
        smoothing = self.cross_entropy.label_smoothing
        flat = logits.flatten(0, 1), targets.repeat(len(logits), *[1] * (targets.ndim - 1))
        each = cross_entropy(*flat, reduction="none", label_smoothing=smoothing)
        return each.unflatten(0, logits.shape[:2]).mean(1)

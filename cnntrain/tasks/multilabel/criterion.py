"""What is minimised where each label is there or not, by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from cnntrain.tasks.auxiliary import Outputs, with_auxiliary


@dataclass(frozen=True)
class Form:
    """Of the loss of a label.

    Attributes:
        name: bce, the binary cross-entropy; focal, times (1 - p)^gamma for the probability p of what is so (Lin et al.
            2017, arXiv:1708.02002); asymmetric, for labels that an image has not of p - margin in place of their
            probability p and times (p - margin)^gamma, so that the easy ones count for nothing (Ridnik et al. 2021,
            arXiv:2009.14119, whose gamma of labels that it has is 0 here).
    """

    name: Literal["bce", "focal", "asymmetric"] = "bce"
    gamma: float = 0.0
    margin: float = 0.0


class Criterion(nn.Module):
    """A loss of the logits, the mean over labels, plus that of auxiliary logits at a weight.

    Targets are bool or probabilities, [batch, classes]; label smoothing mixes them with even odds, a half each.

    Args:
        class_weights: one a class, which multiply the terms of labels that a sample has (`pos_weight` in torch).
    """

    def __init__(
        self,
        form: Form,
        label_smoothing: float = 0.0,
        aux_weight: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ):
        super().__init__()
        self.form = form
        self.label_smoothing = label_smoothing
        self.aux_weight = aux_weight
        self.weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float64)

    def forward(self, outputs: Outputs, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, a scalar, and the main logits [batch, classes] that are judged."""
        return with_auxiliary(outputs, self.aux_weight, lambda logits: self.each(logits, targets).mean())

    def each(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each sample, [batch]."""
        kind = torch.promote_types(logits.dtype, torch.float32)
        logits, wanted = logits.to(kind), targets.to(kind)
        wanted = torch.lerp(wanted, torch.full_like(wanted, 0.5), self.label_smoothing)
        if self.weights is not None:
            self.weights = self.weights.to(logits)  # and kept so: a copy to a GPU in each step would wait for it
        if self.form.name == "bce":
            return binary_cross_entropy_with_logits(logits, wanted, reduction="none", pos_weight=self.weights).mean(1)
        there = -wanted * logsigmoid(logits)
        there = there if self.weights is None else there * self.weights
        if self.form.name == "focal":
            absent = -(1 - wanted) * logsigmoid(-logits)
            wrong = wanted * logits.neg().sigmoid() + (1 - wanted) * logits.sigmoid()
            return ((there + absent) * self._raised(wrong)).mean(1)
        return (there + (1 - wanted) * self._of_absent(logits)).mean(1)

    def _of_absent(self, logits: Tensor) -> Tensor:
        """The asymmetric loss of labels that a sample has not."""
        margin = self.form.margin
        if not margin:
            return -logsigmoid(-logits) * self._raised(logits.sigmoid())
        probability = (logits.sigmoid() - margin).clamp_min(0)
        return -torch.log1p(-probability) * self._raised(probability)

    def _raised(self, probability: Tensor) -> Tensor:
        """To the power of gamma, whose slope at 0 may be infinite."""
        return probability.clamp_min(torch.finfo(probability.dtype).eps) ** self.form.gamma

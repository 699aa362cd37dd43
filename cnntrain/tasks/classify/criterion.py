"""What is minimised, on networks with one output, with auxiliary ones, or with many trained side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from cnntrain.tasks.auxiliary import Outputs, with_auxiliary

Loss = Literal["cross_entropy", "focal", "bce"]


class Criterion(nn.Module):
    """A loss of the logits, plus that of auxiliary logits at a weight.

    Targets are labels, int64 [batch], or probabilities [batch, classes]; label smoothing mixes either with even odds.

    With class weights it is the mean over the batch of losses times their weights, and not divided by the weights' sum
    as torch's `CrossEntropyLoss` does: a sample's share of a step's gradient does then not depend on which others are
    in its micro-batch, or on its rank.

    Args:
        loss: cross_entropy; focal, which gives the term of a class of probability p the weight (1 - p)^gamma (Lin et
            al. 2017, arXiv:1708.02002, here of a softmax); bce, of each class the binary cross-entropy against all
            others, its mean over classes (Wightman et al. 2021, arXiv:2110.00476).
        gamma: of focal.
        class_weights: one a class; with bce they weigh samples by their label.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        aux_weight: float = 0.0,
        loss: Loss = "cross_entropy",
        gamma: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ):
        super().__init__()
        self.label_smoothing = label_smoothing
        self.aux_weight = aux_weight
        self.kind = loss
        self.gamma = gamma
        self.weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float64)

    def forward(self, outputs: Outputs, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, a scalar, and the main logits [batch, classes] that are judged.

        Of classifiers trained side by side the logits are [settings, batch, classes] and the losses [settings]: their
        sum has for each of them the gradient that it would have alone.
        """
        return with_auxiliary(outputs, self.aux_weight, lambda logits: self._means(logits, targets))

    def each(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each sample, [batch], of logits [batch, classes]; [settings, batch] of those side by side."""
        if self._is_torchs:
            flat = logits.reshape(-1, logits.shape[-1])
            times = len(flat) // len(targets)
            return self._torchs(flat, targets.repeat(times, *[1] * (targets.ndim - 1)), "none").view(logits.shape[:-1])
        kind = torch.promote_types(logits.dtype, torch.float32)
        logits, classes = logits.to(kind), logits.shape[-1]
        wanted = (targets if targets.is_floating_point() else one_hot(targets, classes)).to(kind)
        smooth = torch.lerp(wanted, torch.full_like(wanted, 1 / classes), self.label_smoothing)
        weights = self._weights(logits)
        if self.kind == "bce":
            found = binary_cross_entropy_with_logits(logits, smooth.expand_as(logits), reduction="none").mean(-1)
            return found if weights is None else found * (wanted * weights).sum(-1)
        likelihoods = logits.log_softmax(-1)
        terms = -smooth * likelihoods
        if self.kind == "focal":
            rest = -torch.expm1(likelihoods)
            terms = terms * rest.clamp_min(torch.finfo(kind).eps) ** self.gamma  # whose slope at 0 may be infinite
        return (terms if weights is None else terms * weights).sum(-1)

    @property
    def _is_torchs(self) -> bool:
        return self.kind == "cross_entropy" and self.weights is None

    def _torchs(self, logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
        if targets.is_floating_point():  # in the more exact type of the two, under autocast too
            logits, targets = logits.to(kind := torch.promote_types(logits.dtype, targets.dtype)), targets.to(kind)
        return cross_entropy(logits, targets, reduction=reduction, label_smoothing=self.label_smoothing)

    def _means(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Means over the batch, the last dimension but one of `logits`."""
        if self._is_torchs and logits.ndim == 2:
            return self._torchs(logits, targets, "mean")
        return self.each(logits, targets).mean(-1)

    def _weights(self, logits: Tensor) -> Tensor | None:
        """Like the logits; kept so, since a copy to a GPU in each step would wait for it."""
        if self.weights is not None:
            self.weights = self.weights.to(logits)
        return self.weights

"""Classification at work: the criterion of training, that of an evaluation, and the sums of both."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cnntrain.tasks.auxiliary import Outputs, main
from cnntrain.tasks.classify.criterion import Criterion, Loss
from cnntrain.tasks.classify.judged import Judged
from cnntrain.tasks.classify.metrics import Totals


class Classification:
    """A loss of logits [batch, classes] and int64 labels [batch], or probabilities [batch, classes].

    Args:
        label_smoothing, aux_weight, class_weights: of training alone.
        scores: names of metrics that an evaluation has besides accuracy and loss.
        loss, gamma: as `Criterion` has them.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        aux_weight: float = 0.0,
        scores: Sequence[str] = (),
        loss: Loss = "cross_entropy",
        gamma: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ):
        self.loss = Criterion(label_smoothing, aux_weight, loss, gamma, class_weights)
        self._scores = scores
        self._plain = Criterion(loss=loss, gamma=gamma)

    def plain_loss(self, outputs: Outputs, targets: Tensor) -> tuple[Tensor, Tensor]:
        logits = main(outputs)
        # in float64: as exact as what another program finds from the answers
        return self._plain.each(logits.double(), targets).mean(-1), logits

    def each_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self._plain.each(logits, targets)

    def answers(self, logits: Tensor, targets: Tensor) -> Tensor:
        return logits

    def totals(self, device: torch.device) -> Totals:
        return Totals(device)

    def judged(self, device: torch.device) -> Totals:
        return Judged(device, self._scores) if self._scores else Totals(device)

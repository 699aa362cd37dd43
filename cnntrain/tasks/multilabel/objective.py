"""Learning any number of labels at work: the criterion of training, that of an evaluation, and the sums of both."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cnntrain.tasks.auxiliary import Outputs, main
from cnntrain.tasks.multilabel.criterion import Criterion, Form
from cnntrain.tasks.multilabel.metrics import Judged, Totals


class MultilabelClassification:
    """A loss of logits [batch, classes] and targets [batch, classes], bool or probabilities.

    Args:
        label_smoothing, aux_weight, class_weights: of training alone.
    """

    def __init__(
        self,
        form: Form,
        label_smoothing: float = 0.0,
        aux_weight: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ):
        self.loss = Criterion(form, label_smoothing, aux_weight, class_weights)
        self._plain = Criterion(form)

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

    def judged(self, device: torch.device) -> Judged:
        return Judged(device)

"""Classification at work: the criterion of training, that of an evaluation, and the sums of both."""

from __future__ import annotations

import torch
from torch import Tensor

from cnntrain.tasks.classify.criterion import Criterion, Outputs
from cnntrain.tasks.classify.metrics import Totals


class Classification:
    """Cross-entropy of logits [batch, classes] and int64 labels [batch], or probabilities [batch, classes]."""

    def __init__(self, label_smoothing: float = 0.0, aux_weight: float = 0.0):
        self.loss = Criterion(label_smoothing, aux_weight)
        self._plain = Criterion()

    def plain_loss(self, outputs: Outputs, targets: Tensor) -> tuple[Tensor, Tensor]:
        return self._plain(outputs, targets)

    def totals(self, device: torch.device) -> Totals:
        return Totals(device)

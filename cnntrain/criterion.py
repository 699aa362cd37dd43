"""What is minimised, on networks with one output or with auxiliary ones."""

from __future__ import annotations

from torch import Tensor, nn

Outputs = Tensor | tuple[Tensor, ...]


class Criterion(nn.Module):
    """Cross-entropy of the logits, plus that of auxiliary logits (GoogLeNet, Inception-v3) at a weight."""

    def __init__(self, label_smoothing: float = 0.0, aux_weight: float = 0.0):
        super().__init__()
        self.cross_entropy = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        self.aux_weight = aux_weight

    def forward(self, outputs: Outputs, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, a scalar, and the main logits [batch, classes] that are judged."""
        logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = self.cross_entropy(logits, labels)
        for each in auxiliary:
            loss = loss + self.aux_weight * self.cross_entropy(each, labels)
        return loss, logits

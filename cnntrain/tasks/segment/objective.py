"""Segmentation at work: the criterion of training, that of an evaluation, and the sums of both."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from cnntrain.core.targets import IGNORE
from cnntrain.tasks.auxiliary import Outputs, main, with_auxiliary
from cnntrain.tasks.segment.metrics import Totals, counted, pairs


class Segmentation:
    """A loss of logits [batch, classes, height, width] and masks uint8 [batch, height, width]: of each image the mean
    cross-entropy of its pixels, and of these means that of the batch.

    So an image's share of a step's gradient does not depend on which others are in its micro-batch, or on its rank, nor
    on how many of its pixels are ignored; where all are, its loss is 0.

    Args:
        label_smoothing, aux_weight: of training alone.
        class_weights: one a class, which multiply the losses of pixels of the class, of training alone.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        aux_weight: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ):
        self.label_smoothing = label_smoothing
        self.aux_weight = aux_weight
        self.weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float64)

    def loss(self, outputs: Outputs, targets: Tensor) -> tuple[Tensor, Tensor]:
        return with_auxiliary(outputs, self.aux_weight, lambda logits: self._each(logits, targets).mean())

    def plain_loss(self, outputs: Outputs, targets: Tensor) -> tuple[Tensor, Tensor]:
        logits = main(outputs)
        return self.each_loss(logits, targets).double().mean(), logits

    def each_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return _means(_pixels(logits, targets, 0.0), targets)

    def answers(self, logits: Tensor, targets: Tensor) -> Tensor:
        """int64 [batch, 3, classes]: pixels of each class that were given it, that have it, and that were given it
        whatever they have."""
        return counted(pairs(logits, targets))

    def totals(self, device: torch.device) -> Totals:
        return Totals(device)

    def judged(self, device: torch.device) -> Totals:
        return Totals(device)

    def _each(self, logits: Tensor, targets: Tensor) -> Tensor:
        losses = _pixels(logits, targets, self.label_smoothing)
        if self.weights is not None:
            self.weights = self.weights.to(losses)  # and kept so: a copy to a GPU in each step would wait for it
            losses = losses * self.weights[targets.long().clamp(max=len(self.weights) - 1)]
        return _means(losses, targets)


def _pixels(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """The loss of each pixel, 0 of those that are ignored, [batch, height, width]; by rows, since torch's loss of maps
    is not repeatable on a GPU."""
    kind = torch.promote_types(logits.dtype, torch.float32)
    rows = logits.permute(0, 2, 3, 1).flatten(0, 2).to(kind)
    wanted = targets.flatten().long()
    return cross_entropy(rows, wanted, ignore_index=IGNORE, reduction="none", label_smoothing=smoothing).view(
        targets.shape
    )


def _means(losses: Tensor, targets: Tensor) -> Tensor:
    """Of each image's pixels that are not ignored, [batch]."""
    return losses.flatten(1).sum(1) / (targets != IGNORE).flatten(1).sum(1).clamp(min=1)

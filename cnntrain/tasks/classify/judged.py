"""The totals of an evaluation whose metrics need all samples at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cnntrain.core import dist
from cnntrain.tasks.classify.calibration import probabilities
from cnntrain.tasks.classify.metrics import Metrics, Totals
from cnntrain.tasks.classify.scores import scores


class Judged(Totals):
    """Keeps logits and labels on their device, besides the sums.

    Args:
        names: of the metrics, as in `OF_ALL`.
    """

    def __init__(self, device: torch.device, names: Sequence[str]):
        super().__init__(device)
        self._names = names
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []

    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        super().add(loss, logits, targets)
        self._logits.append(logits.movedim(-2, 0))  # [batch, (settings,) classes]
        self._labels.append(targets)

    def metrics(self) -> Metrics:
        """Means and scores over all ranks' samples; of a bank those of each setting."""
        per_setting = super().metrics().per_setting
        shares = [dist.gathered(torch.cat(each) if each else torch.empty(0)) for each in (self._logits, self._labels)]

        def added() -> list[dict[str, float]]:
            logits, labels = (torch.cat([each for each in share if len(each)] or share) for share in shares)
            settings = logits.double().numpy().reshape(len(labels), len(per_setting), -1)
            return [
                scores(self._names, labels.long().numpy(), probabilities(settings[:, number]))
                for number in range(len(per_setting))
            ]

        found = dist.from_first(added)
        return Metrics([{**old, **new} for old, new in zip(per_setting, found, strict=True)])

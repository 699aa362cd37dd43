"""How well labels are given: as sums, exact however the samples were batched or shared among ranks; the mean average
precision alone needs all scores at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cnntrain.core import dist
from cnntrain.tasks.base import Metrics

ALONE = 3  # sums that are not one a class: samples, summed loss, samples with all labels right
THRESHOLD = 0.0  # a label is given where its logit is above, its probability above one half
NAN = float("nan")


class Totals:
    """Running sums over samples, kept on the device so that no step waits for them.

    Attributes:
        count: samples.
        loss: float64, summed.
        right: int64, samples with all labels right.
        labels: int64 [3, classes]: how often a label was given rightly, was given, and was there.
    """

    def __init__(self, device: torch.device):
        self._make(0, device)

    def _make(self, classes: int, device: torch.device) -> None:
        self.count = 0
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.right = torch.zeros((), dtype=torch.int64, device=device)
        self.labels = torch.zeros(3, classes, dtype=torch.int64, device=device)

    @torch.no_grad()
    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Add a batch.

        Args:
            loss: mean loss over the batch, a scalar.
            logits: [batch, classes].
            targets: bool [batch, classes]; or probabilities, of which those above one half count.
        """
        if not self.count and not self.labels.numel():
            self._make(logits.shape[1], self.loss.device)
        there, given = (targets > 0.5 if targets.is_floating_point() else targets.bool()), logits > THRESHOLD
        self.count += len(logits)
        self.loss.add_(loss, alpha=len(logits))
        self.right += (given == there).all(1).sum()
        self.labels += torch.stack([given & there, given, there]).sum(1)

    @property
    def sums(self) -> Tensor:
        """float64 [3 + 3 x classes]: samples, summed loss, all right; then `labels`."""
        count = torch.full_like(self.loss, self.count)
        return torch.cat([torch.stack([count, self.loss, self.right.double()]), self.labels.flatten().double()])

    def reduced(self) -> list[float]:
        """The sums over all ranks, as numbers."""
        classes = dist.from_first(lambda: self.labels.shape[1])
        if self.labels.shape[1] != classes:  # this rank had no samples
            self._make(classes, self.loss.device)
        return dist.sum_over_ranks(self.sums).tolist()

    def load(self, sums: list[float]) -> None:
        """Take over sums that `reduced` gave; they count once, so rank 0 takes them."""
        device = self.loss.device
        self._make((len(sums) - ALONE) // 3, device)
        if dist.rank() > 0:
            return
        self.count = int(sums[0])
        self.loss += sums[1]
        self.right += int(sums[2])
        self.labels += torch.tensor(sums[ALONE:], device=device).long().view(3, -1)

    def mean_loss(self) -> float:
        """Of this rank's samples."""
        return self.loss.item() / self.count if self.count else NAN

    def metrics(self) -> Metrics:
        """Over all ranks' samples."""
        return means(self.reduced())


def means(sums: list[float]) -> Metrics:
    """Metrics from the sums of `Totals`; nan where there were no samples.

    A label that no sample has and none was given has an F1 of 0, as scikit-learn's ``zero_division=0``.
    """
    count, loss, right = sums[:ALONE]
    hits, given, there = np.array(sums[ALONE:]).reshape(3, -1)
    if not count:
        return Metrics(
            {**dict.fromkeys(("loss", "macro_f1", "micro_f1", "subset_accuracy", "hamming"), NAN), "count": 0}
        )
    return Metrics(
        {
            "loss": loss / count,
            "macro_f1": float(_f1(hits, given + there).mean()),
            "micro_f1": float(_f1(hits.sum(), (given + there).sum())),
            "subset_accuracy": right / count,
            "hamming": float((given + there - 2 * hits).sum() / (count * len(hits))),
            "count": int(count),
        }
    )


def _f1(hits: np.ndarray, given_and_there: np.ndarray) -> np.ndarray:
    return np.divide(2 * hits, given_and_there, out=np.zeros_like(hits), where=given_and_there > 0)


class Judged(Totals):
    """Of an evaluation: keeps logits and targets on their device, besides the sums."""

    def __init__(self, device: torch.device):
        super().__init__(device)
        self._logits: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        super().add(loss, logits, targets)
        self._logits.append(logits)
        self._targets.append(targets)

    def metrics(self) -> Metrics:
        sums = super().metrics()
        shares = [dist.gathered(torch.cat(each) if each else torch.empty(0)) for each in (self._logits, self._targets)]

        def precision() -> float:
            logits, targets = (torch.cat([each for each in share if len(each)] or share) for share in shares)
            return mean_average_precision(targets.numpy() > 0, logits.double().numpy())

        return Metrics({"map": dist.from_first(precision), **sums})


def mean_average_precision(there: np.ndarray, scores: np.ndarray) -> float:
    """Of the labels that some sample has, by scikit-learn; nan where there is none, and of scores that are no numbers.

    Args:
        there: bool [n, classes].
        scores: [n, classes].
    """
    from sklearn.metrics import average_precision_score

    if not there.any() or not np.isfinite(scores).all():
        return NAN
    present = there.any(0)
    return float(average_precision_score(there[:, present], scores[:, present], average="macro"))

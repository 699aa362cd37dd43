"""Accuracy and loss as sums and counts: exact however the samples were batched or shared among ranks."""

from __future__ import annotations

import torch
from torch import Tensor

from cnntrain import dist

TOP = (1, 5)


class Totals:
    """Running sums over samples, kept on the device so that no step waits for them.

    ``sums`` is a float64 tensor [4]: samples, summed loss, samples right at first guess, samples right within five
    (within all classes where there are fewer).
    """

    def __init__(self, device: torch.device):
        self.sums = torch.zeros(2 + len(TOP), dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch.

        Args:
            loss: mean loss over the batch, a scalar.
            logits: [batch, classes].
            labels: int64 [batch].
        """
        guesses = logits.topk(min(TOP[-1], logits.shape[1]), dim=1).indices
        hits = guesses == labels[:, None]
        count = torch.full_like(self.sums[0], len(labels))
        right = [hits[:, :k].any(dim=1).sum() for k in TOP]
        self.sums += torch.stack([count, loss.double() * len(labels), *right])

    def reduced(self) -> list[float]:
        """The sums over all ranks, as numbers."""
        return dist.sum_over_ranks(self.sums).tolist()

    def load(self, sums: list[float]) -> None:
        """Take over sums that `reduced` gave; they count once, so rank 0 takes them."""
        values = sums if dist.rank() == 0 else [0.0] * len(sums)
        self.sums.copy_(torch.tensor(values, dtype=torch.float64))

    def metrics(self) -> dict[str, float]:
        """``loss``, ``top1``, ``top5`` as means over all ranks' samples, and ``count``."""
        return means(self.reduced())


def means(sums: list[float]) -> dict[str, float]:
    """Metrics from the sums of `Totals`; nan where there were no samples."""
    count, loss, *right = sums
    values = [each / count if count else float("nan") for each in (loss, *right)]
    return {"loss": values[0], **{f"top{k}": v for k, v in zip(TOP, values[1:], strict=True)}, "count": int(count)}

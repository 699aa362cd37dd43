"""Accuracy and loss as sums and counts: exact however the samples were batched or shared among ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import torch
from torch import Tensor

from cnntrain.core import dist
from cnntrain.tasks import base

TOP = (1, 5)
WIDTH = 2 + len(TOP)  # sums of one network


class Metrics(base.Metrics):
    """``loss``, ``top1``, ``top5`` as means over samples, and ``count``.

    Of classifiers trained side by side (the settings of a bank) they are those of the best, and ``setting`` is its
    number.
    """

    def __init__(self, per_setting: Sequence[Mapping[str, float]]):
        several = len(per_setting) > 1
        best = best_setting(per_setting) if several else 0
        super().__init__(per_setting[best], **({"setting": best} if several else {}))
        self._per_setting = per_setting

    @property
    def per_setting(self) -> Sequence[Mapping[str, float]]:
        return self._per_setting

    def chosen_by(self, best: Mapping[str, float] | None) -> dict[str, float]:
        """The metrics of the setting that was best on val in `best`, the values of an epoch; of one network its own."""
        if len(self.per_setting) == 1:
            return dict(self)
        if best is None:
            raise base.UnchosenError
        number = int(best["val/setting"])
        return {**self.per_setting[number], "setting": number}


def best_setting(per_setting: Sequence[Mapping[str, float]]) -> int:
    """The number of the one with the highest top-1, among equals the lowest loss; one that diverged comes last."""

    def rank(number: int) -> tuple[bool, float, float]:
        values = per_setting[number]
        finite = isfinite(values["loss"])
        return finite, values["top1"], -values["loss"] if finite else 0.0

    return max(range(len(per_setting)), key=rank)


class Totals:
    """Running sums over samples, kept on the device so that no step waits for them, by few operations: on a GPU small
    ones take longer to ask for than to do.

    Attributes:
        count: samples.
        losses: float64 [settings] for a bank of settings, else [1]: summed.
        places: int64 [settings, 5]: samples that were right at the first guess, the second, ...; of fewer classes there
            are fewer guesses.
    """

    def __init__(self, device: torch.device):
        self.count = 0
        self._make(1, device)

    def _make(self, settings: int, device: torch.device) -> None:
        self.losses = torch.zeros(settings, dtype=torch.float64, device=device)
        self.places = torch.zeros(settings, TOP[-1], dtype=torch.int64, device=device)

    @torch.no_grad()
    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Add a batch.

        Args:
            loss: mean loss over the batch, a scalar; of a bank [settings].
            logits: [batch, classes]; of a bank [settings, batch, classes].
            targets: labels, int64 [batch]; or probabilities [batch, classes], of which the most probable counts.
        """
        self._stretch(loss.numel())
        labels = targets.argmax(1) if targets.is_floating_point() else targets
        guesses = logits.topk(min(TOP[-1], logits.shape[-1]), dim=-1).indices
        self.count += len(labels)
        self.losses.add_(loss, alpha=len(labels))
        self.places[:, : guesses.shape[-1]].add_((guesses == labels[:, None]).sum(-2))  # += would write them twice

    def _stretch(self, settings: int) -> None:
        """Have room for as many settings as there turn out to be; before the first batch all sums are 0."""
        if len(self.losses) != settings:
            self._make(settings, self.losses.device)

    @property
    def sums(self) -> Tensor:
        """float64 [4], or [4 x settings], one after the other: samples, summed loss, right at first guess, right within
        five (within all classes where there are fewer)."""
        count = torch.full_like(self.losses, self.count)
        right = [self.places[:, :k].sum(1) for k in TOP]
        return torch.stack([count, self.losses, *right], dim=-1).flatten()

    def reduced(self) -> list[float]:
        """The sums over all ranks, as numbers."""
        self._stretch(dist.from_first(lambda: len(self.losses)))  # a rank without samples has not seen any settings
        return dist.sum_over_ranks(self.sums).tolist()

    def load(self, sums: list[float]) -> None:
        """Take over sums that `reduced` gave; they count once, so rank 0 takes them."""
        device = self.losses.device
        self._make(len(sums) // WIDTH, device)
        if dist.rank() > 0:
            return
        count, losses, first, within = torch.tensor(sums, dtype=torch.float64, device=device).view(-1, WIDTH).T
        self.count = int(count[0])
        self.losses += losses
        self.places[:, 0] = first.long()
        self.places[:, 1] = (within - first).long()  # at which of the other guesses is not kept

    def mean_loss(self) -> float:
        """Of this rank's samples; of a bank that of its best setting."""
        return means(self.sums.tolist())["loss"]

    def metrics(self) -> Metrics:
        """Means over all ranks' samples."""
        return means(self.reduced())


def means(sums: list[float]) -> Metrics:
    """Metrics from the sums of `Totals`; nan where there were no samples."""
    return Metrics([_means(sums[start : start + WIDTH]) for start in range(0, len(sums), WIDTH)])


def _means(sums: list[float]) -> dict[str, float]:
    """Of one network."""
    count, loss, *right = sums
    values = [each / count if count else float("nan") for each in (loss, *right)]
    return {"loss": values[0], **{f"top{k}": v for k, v in zip(TOP, values[1:], strict=True)}, "count": int(count)}

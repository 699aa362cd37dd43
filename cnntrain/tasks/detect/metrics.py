"""How well objects are found: what an evaluation keeps of each image until it has seen them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cnntrain.core import dist
from cnntrain.tasks.base import Column, Metrics
from cnntrain.tasks.detect.matching import Matched, matched, most_classes
from cnntrain.tasks.detect.precision import averages, means

NAN = float("nan")
OF_MASKS = "mask_"


@dataclass(frozen=True)
class Judged:
    """Attributes:
    losses: [batch].
    rows: [batch, rows, columns], see `rows.rows`.
    masks: of each image float [detections, height, width]; None of a network without.
    """

    losses: Tensor
    rows: Tensor
    masks: Sequence[Tensor] | None = None


class Totals:
    """Of training steps: images and their loss, kept on the device so that no step waits for it."""

    def __init__(self, device: torch.device):
        self.count = 0
        self.loss = torch.zeros((), dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(self, loss: Tensor, judged: Tensor, targets: object) -> None:
        """Add a batch.

        Args:
            loss: mean loss over the batch, a scalar.
            judged: the loss of each image.
        """
        self._add(loss, len(judged))

    def _add(self, loss: Tensor, count: int) -> None:
        self.count += count
        self.loss.add_(loss, alpha=count)

    def reduced(self) -> list[float]:
        """Images and summed loss over all ranks, as numbers."""
        return dist.sum_over_ranks(torch.stack([torch.full_like(self.loss, self.count), self.loss])).tolist()

    def load(self, sums: list[float]) -> None:
        """Take over sums that `reduced` gave; they count once, so rank 0 takes them."""
        if dist.rank() == 0:
            self.count, self.loss = int(sums[0]), self.loss.new_tensor(sums[1])

    def mean_loss(self) -> float:
        """Of this rank's images."""
        return self.loss.item() / self.count if self.count else NAN

    def metrics(self) -> Metrics:
        """Over all ranks' images."""
        count, loss = self.reduced()
        return Metrics({"loss": loss / count if count else NAN, "count": int(count)})


class Evaluated(Totals):
    """Of an evaluation; precision is of all images at once, so that what was found in each is kept."""

    def __init__(self, device: torch.device, columns: Sequence[Column]):
        super().__init__(device)
        self.columns = columns
        self._rows: list[Tensor] = []

    def add(self, loss: Tensor, judged: Judged, targets: object) -> None:  # type: ignore[override]
        self._add(loss, len(judged.losses))
        self._rows.append(judged.rows)

    def metrics(self) -> Metrics:
        """Over all ranks' images. All ranks call this."""
        shares = dist.gathered(torch.cat(self._rows) if self._rows else torch.empty(0))
        values = dist.from_first(lambda: figures(_in_order(shares), self.columns))
        return Metrics({**values, **super().metrics()})


def _in_order(shares: list[Tensor]) -> np.ndarray:
    """Of the ranks' images, of which each has every so many-th: so that equally sure detections come alike, however
    many ranks there are."""
    there = [each for each in shares if len(each)]
    if not there:
        return np.zeros((0, 0, 0), np.float32)
    found = there[0].new_empty(sum(map(len, shares)), *there[0].shape[1:])
    for rank, each in enumerate(shares):
        if len(each):
            found[rank :: len(shares)] = each
    return found.numpy()


def figures(table: np.ndarray, columns: Sequence[Column]) -> dict[str, float]:
    """The value of each of `columns` but the loss; nan without an object."""
    drawn = resampled(table, columns, np.ones((1, len(table))))
    return {name: float(values[0]) for name, values in drawn.items()}


def resampled(table: np.ndarray, columns: Sequence[Column], times: np.ndarray) -> dict[str, np.ndarray]:
    """[draws] of each of `columns` but the loss, of images that count so often.

    Args:
        times: float64 [draws, images].
    """
    names = [each.name for each in columns if each.name != "loss"]
    found: dict[str, np.ndarray] = {}
    for masks in {each.startswith(OF_MASKS) for each in names}:
        values = means([averages(each, times) for each in _matched(table, masks)])
        found |= {OF_MASKS * masks + name: each for name, each in values.items()}
    return {name: found[name] for name in names}


def _matched(table: np.ndarray, masks: bool) -> list[Matched]:
    return matched(table, most_classes(table), masks) if table.size else []

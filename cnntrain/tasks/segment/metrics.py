"""How well pixels are classified, as sums: exact however the images were batched or shared among ranks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cnntrain.core import dist
from cnntrain.core.targets import IGNORE
from cnntrain.tasks.base import Metrics

ALONE = 2  # sums that are no pixels: images, summed loss
NAN = float("nan")


@torch.no_grad()
def pairs(logits: Tensor, targets: Tensor) -> Tensor:
    """int64 [batch, classes, classes]: how many pixels of the one class (rows) were given the other (columns).

    Args:
        logits: [batch, classes, height, width].
        targets: uint8 [batch, height, width].
    """
    batch, classes = logits.shape[:2]
    wanted, given = targets.flatten(1).long(), logits.argmax(1).flatten(1)
    ignored = classes * classes
    places = torch.where(wanted == IGNORE, ignored, wanted * classes + given)
    places = places + (ignored + 1) * torch.arange(batch, device=places.device)[:, None]
    counts = places.new_zeros(batch * (ignored + 1))  # bincount waits for a GPU
    counts.scatter_add_(0, places.flatten(), counts.new_ones(()).expand(places.numel()))
    return counts.view(batch, ignored + 1)[:, :ignored].reshape(batch, classes, classes)


def counted(found: Tensor) -> Tensor:
    """Of pairs [batch, classes, classes] what figures need: int64 [batch, 3, classes]: right, there, given."""
    return torch.stack([found.diagonal(dim1=1, dim2=2), found.sum(2), found.sum(1)], 1)


class Totals:
    """Running sums, kept on the device so that no step waits for them.

    Attributes:
        count: images.
        loss: float64, summed.
        matrix: int64 [classes, classes], pixels: see `pairs`.
    """

    def __init__(self, device: torch.device):
        self._make(0, device)

    def _make(self, classes: int, device: torch.device) -> None:
        self.count = 0
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.matrix = torch.zeros(classes, classes, dtype=torch.int64, device=device)

    @torch.no_grad()
    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Add a batch.

        Args:
            loss: mean loss over the batch, a scalar.
            logits: [batch, classes, height, width].
            targets: uint8 [batch, height, width].
        """
        if not self.matrix.numel():
            self._make(logits.shape[1], self.loss.device)
        self.count += len(logits)
        self.loss.add_(loss, alpha=len(logits))
        self.matrix += pairs(logits, targets).sum(0)

    @property
    def sums(self) -> Tensor:
        """float64 [2 + classes x classes]: images, summed loss; then `matrix`."""
        count = torch.full_like(self.loss, self.count)
        return torch.cat([torch.stack([count, self.loss]), self.matrix.flatten().double()])

    def reduced(self) -> list[float]:
        """The sums over all ranks, as numbers."""
        classes = dist.largest(len(self.matrix))
        if len(self.matrix) != classes:  # this rank had no images
            self._make(classes, self.loss.device)
        return dist.sum_over_ranks(self.sums).tolist()

    def load(self, sums: list[float]) -> None:
        """Take over sums that `reduced` gave; they count once, so rank 0 takes them."""
        device, matrix = self.loss.device, torch.tensor(sums[ALONE:], dtype=torch.float64)
        classes = round(len(matrix) ** 0.5)
        self._make(classes, device)
        if dist.rank() > 0:
            return
        self.count = int(sums[0])
        self.loss += sums[1]
        self.matrix += matrix.long().view(classes, classes).to(device)

    def mean_loss(self) -> float:
        """Of this rank's images."""
        return self.loss.item() / self.count if self.count else NAN

    def metrics(self) -> Metrics:
        """Over all ranks' images."""
        count, loss, *rest = self.reduced()
        classes = round(len(rest) ** 0.5)
        matrix = np.array(rest).reshape(classes, classes)
        counts = np.stack([matrix.diagonal(), matrix.sum(1), matrix.sum(0)])
        values = {name: float(value) for name, value in figures(counts).items()}
        return Metrics({**values, "loss": loss / count if count else NAN, "count": int(count)})


def figures(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Of pixels [..., 3, classes] (right, there, given) each figure [...].

    The mean intersection over union is over the classes that pixels have or were given, and the mean accuracy over
    those that pixels have; nan where there are none.
    """
    right, there, given = np.moveaxis(counts.astype(np.float64), -2, 0)
    return {
        "miou": _mean(right, there + given - right),
        "pixel_accuracy": _ratio(right.sum(-1), there.sum(-1)),
        "mean_accuracy": _mean(right, there),
    }


def per_class(counts: np.ndarray) -> np.ndarray:
    """Intersections over unions [..., classes] of pixels [..., 3, classes]; nan where there is no union."""
    right, there, given = np.moveaxis(counts.astype(np.float64), -2, 0)
    return _ratio(right, there + given - right)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), NAN), where=whole > 0)


def _mean(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Of the ratios of the classes that have one."""
    some = whole > 0
    ratios = np.divide(part, whole, out=np.zeros(whole.shape), where=some)
    return _ratio(ratios.sum(-1), some.sum(-1))

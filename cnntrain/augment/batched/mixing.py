"""Two samples mixed: MixUp and CutMix. What a sample is mixed with is a function of (seed, epoch, position) too."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.special import betaincinv
from torch import Tensor
from torch.nn.functional import one_hot

from cnntrain.core.draws import Draws


@dataclass(frozen=True)
class Mixing:
    """MixUp (Zhang et al. 2017, arXiv:1710.09412) and CutMix (Yun et al. 2019, arXiv:1905.04899): of both, one of them
    by an even draw for each sample.

    Attributes:
        mixup, cutmix: alpha of the Beta distribution of a sample's share; 0: none.
        classes: how many there are.
    """

    mixup: float
    cutmix: float
    classes: int

    def partners(self, draws: Draws, count: int) -> Tensor:
        """int64 [samples]: with which of a part's `count` samples each is mixed, itself perhaps."""
        return (draws.uniform("mix_partner", 1)[0] * count).long()

    def __call__(
        self, images: Tensor, labels: Tensor, others: Tensor, their: Tensor, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        """Normalised images [samples, channels, height, width] and soft targets, float32 [samples, classes].
        Signals and volumes can be mixed too, but have no boxes.

        Args:
            labels: int64 [samples]; or bool [samples, classes], of any number of labels each.
            others, their: the partners' images and labels.
            draws: of the samples.
        """
        rows, columns, share = (
            each.to(images.device, non_blocking=True)
            for each in self.shares(images.shape[-2], images.shape[-1], draws.here)
        )
        kept = share.to(images.dtype).view(-1, *[1] * (images.ndim - 1))
        if images.ndim == 4:
            kept = torch.where(rows[:, None, :, None] & columns[:, None, None, :], kept, 1)
        mixed = torch.lerp(others, images, kept)
        of_box = (rows.sum(1) * columns.sum(1)).double() / (rows.shape[1] * columns.shape[1])
        weight = (1 - of_box * (1 - share))[:, None].float()
        ours, theirs = ((each if each.ndim == 2 else one_hot(each, self.classes)).float() for each in (labels, their))
        return mixed, weight * ours + (1 - weight) * theirs

    def shares(self, height: int, width: int, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
        """Of which pixels a sample has only a share, and which share: of all some, or of those of a box none.

        Returns:
            bool [samples, height] and [samples, width], the box's rows and columns; float64 [samples].
        """
        size, down, across, way = draws.uniform("mix", 4)
        cut = way < (0.5 if self.mixup and self.cutmix else float(self.cutmix > 0))
        box = (1 - _beta(self.cutmix, size)).sqrt()
        rows, columns = _strip(height, box, down), _strip(width, box, across)
        whole = ~cut[:, None]
        return rows | whole, columns | whole, torch.where(cut, 0.0, _beta(self.mixup, size))


def _strip(side: int, length: Tensor, middle: Tensor) -> Tensor:
    """bool [samples, side]: about a pixel in the middle so much of the side, but for what sticks out."""
    half, center = (side * length).floor() // 2, (middle * side).floor()
    places = torch.arange(side)
    return (places >= (center - half)[:, None]) & (places < (center + half)[:, None])


def _beta(alpha: float, numbers: Tensor) -> Tensor:
    """Of uniform numbers numbers of Beta(alpha, alpha), by its distribution's inverse; of alpha 0 ones."""
    return torch.from_numpy(betaincinv(alpha, alpha, numbers.numpy())) if alpha else torch.ones_like(numbers)

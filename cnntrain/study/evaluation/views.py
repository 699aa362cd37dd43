"""Several views of each image, whose probabilities are averaged (Krizhevsky et al. 2012 took ten)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGER = 256 / 224  # the side that crops are taken of, of theirs


def mean_logits(logits: Tensor) -> Tensor:
    """Logits [views, batch, classes] to those [batch, classes] of the mean probabilities."""
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return logits.log_softmax(-1).logsumexp(0) - torch.tensor(len(logits), dtype=logits.dtype).log().item()


class Flips(nn.Module):
    """An image and its mirror image."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return mean_logits(torch.stack([self.network(each) for each in (images, images.flip(-1))]))


class Shifts(nn.Module):
    """An image and its mirror image, and both moved by a pixel up and to the left, and down and to the right.

    What is in place counts as much as what is moved; a moved image is mirrored at its rim (Jordan 2024,
    arXiv:2404.00498, which averages logits).
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = Flips(network)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        padded = nn.functional.pad(images, (1, 1, 1, 1), "reflect")
        in_place = self.network(images)
        moved = [self.network(padded[..., at : at + height, at : at + width].contiguous()) for at in (0, 2)]
        return mean_logits(torch.stack([in_place, in_place, *moved]))


class Crops(nn.Module):
    """The corners and the middle of a larger image, and their mirror images: ten views of `side` pixels."""

    def __init__(self, network: nn.Module, side: int):
        super().__init__()
        self.network = Flips(network)
        self.side = side

    def forward(self, images: Tensor) -> Tensor:
        height, width = (each - self.side for each in images.shape[-2:])
        places = [(0, 0), (0, width), (height, 0), (height, width), (height // 2, width // 2)]
        crops = [images[..., y : y + self.side, x : x + self.side] for y, x in places]
        return mean_logits(torch.stack([self.network(each.contiguous()) for each in crops]))

"""The Fréchet distance of two distributions by their means and covariances (Heusel et al. 2017, arXiv:1706.08500)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cnntrain.core import dist


@dataclass(frozen=True)
class Moments:
    """Attributes:
    count: vectors.
    mean: float64 [size].
    covariance: float64 [size, size], of which the divisor is one less than the count.
    """

    count: int
    mean: Tensor
    covariance: Tensor


class Sums:
    """Of vectors, kept on their device as float64: exact however they were batched or shared among ranks."""

    def __init__(self, device: torch.device):
        self.device = device
        self.count = 0
        self._first, self._second = self._zeros(0)

    def _zeros(self, size: int) -> tuple[Tensor, Tensor]:
        return tuple(torch.zeros(*shape, dtype=torch.float64, device=self.device) for shape in ((size,), (size, size)))  # type: ignore[return-value]

    @torch.no_grad()
    def add(self, vectors: Tensor) -> None:
        """Vectors [batch, size]."""
        if not len(self._first):
            self._first, self._second = self._zeros(vectors.shape[1])
        vectors = vectors.to(self._first)
        self.count += len(vectors)
        self._first += vectors.sum(0)
        self._second += vectors.T @ vectors

    def over_ranks(self) -> Moments:
        """Of all ranks' vectors, on the CPU. All ranks call this."""
        size = dist.largest(len(self._first))
        if len(self._first) != size:  # this rank had none
            self._first, self._second = self._zeros(size)
        number = torch.tensor([self.count], dtype=torch.float64, device=self.device)
        count, first, second = (dist.sum_over_ranks(each).cpu() for each in (number, self._first, self._second))
        mean = first / count
        return Moments(int(count), mean, (second - count * torch.outer(mean, mean)) / (count - 1))


def distance(one: Moments, other: Moments) -> float:
    """The squared distance of the means, and the trace of A + B - 2 sqrt(AB) of the covariances; nan where one is of
    fewer than two vectors."""
    if min(one.count, other.count) < 2:
        return float("nan")
    root = _root(one.covariance)
    # the roots of the eigenvalues of AB, which are those of sqrt(A) B sqrt(A): symmetric, so that none is complex
    both = torch.linalg.eigvalsh(root @ other.covariance @ root).clamp(min=0).sqrt().sum()
    traces = one.covariance.trace() + other.covariance.trace()
    return max(0.0, float((one.mean - other.mean).square().sum() + traces - 2 * both))


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T

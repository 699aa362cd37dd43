"""The Fréchet distance against three others: torchmetrics', scipy's square root of a matrix, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.fid import _compute_fid

from cnntrain.tasks.generate.frechet import Moments, Sums, distance

CPU = torch.device("cpu")


def features(count: int, size: int, seed: int) -> torch.Tensor:
    """Correlated, of unlike scales, and not centred."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(count, size)) @ random.normal(size=(size, size))
    return torch.from_numpy(mixed * random.uniform(0.1, 3, size) + random.normal(size=size))


def moments(vectors: torch.Tensor, *cuts: int) -> Moments:
    sums = Sums(CPU)
    for part in torch.tensor_split(vectors, cuts):
        sums.add(part)
    return sums.over_ranks()


@pytest.mark.parametrize(
    ("count", "size"), [(300, 5), (1000, 84), (60, 100)]
)  # of the last one a covariance is singular
def test_it_is_what_others_compute(count: int, size: int) -> None:
    one, other = features(count, size, 0), features(count + 20, size, 1)
    found = distance(moments(one, 7, 100), moments(other))
    means = [each.mean(0) for each in (one, other)]
    covariances = [torch.from_numpy(np.cov(each.numpy(), rowvar=False)) for each in (one, other)]
    theirs = float(_compute_fid(means[0], covariances[0], means[1], covariances[1]))
    root = scipy.linalg.sqrtm(covariances[0].numpy() @ covariances[1].numpy()).real
    second = float(
        (means[0] - means[1]).square().sum() + (covariances[0] + covariances[1]).trace() - 2 * np.trace(root)
    )
    assert found == pytest.approx(theirs, rel=1e-6)
    assert found == pytest.approx(second, rel=1e-6)


def test_of_one_number_it_is_known() -> None:
    one, other = torch.tensor([[0.0], [2.0]]), torch.tensor([[5.0], [11.0]])  # variances 2 and 18
    assert distance(moments(one), moments(other)) == pytest.approx(7**2 + (18**0.5 - 2**0.5) ** 2)


def test_of_the_same_images_there_is_none_and_of_one_image_none_is_known() -> None:
    one = features(50, 6, 0)
    assert distance(moments(one), moments(one)) == pytest.approx(0, abs=1e-8)
    assert np.isnan(distance(moments(one[:1]), moments(one)))
    assert np.isnan(distance(Sums(CPU).over_ranks(), moments(one)))

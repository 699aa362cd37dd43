"""The gradient noise scale, against a linear regression whose gradient and covariance are known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cnntrain.search import noise

INPUTS, AWAY, DEVIATION = 5, 0.8, 1.5  # of the weights from the true ones, and of the targets
GRADIENT = INPUTS * AWAY**2
TRACE = (INPUTS + 1) * GRADIENT + INPUTS * DEVIATION**2  # E|x (x.d - e)|^2 - |d|^2 of normal x


def regression(seed: int, batches: int, images: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Of true weights 0."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(batches):
        inputs = torch.randn(images, INPUTS, generator=generator)
        yield inputs, DEVIATION * torch.randn(images, generator=generator)


def estimated(seed: int, batches: int = 8, images: int = 20) -> list[tuple[float, float]]:
    network = nn.Linear(INPUTS, 1, bias=False)
    nn.init.constant_(network.weight, AWAY)
    idle = nn.Parameter(torch.ones(3))

    def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
        return ((network(batch[0])[:, 0] - batch[1]) ** 2 / 2).mean()

    found = []
    for number in range(noise.REPEATS):
        drawn = regression(1000 * seed + number, batches, images)
        found.append(noise.estimates(*noise.lengths_of([network.weight, idle], loss, drawn), images, batches))
    return found


def test_trace_gradient_and_scale_are_those_of_a_linear_regression_without_bias() -> None:
    studies = [estimated(seed) for seed in range(60)]
    pairs = np.concatenate(studies)
    error = pairs.std(axis=0, ddof=1) / np.sqrt(len(pairs))
    assert np.all(np.abs(pairs.mean(axis=0) - [TRACE, GRADIENT]) < 4 * error)
    assert np.all(error < 0.03 * np.array([TRACE, GRADIENT]))  # so that a bias of a batch's part would be seen
    covered = 0
    for study in studies:
        scale, interval = noise.ratio(*zip(*study, strict=True))
        assert scale is not None and interval is not None and interval[0] < scale < interval[1]
        covered += interval[0] <= TRACE / GRADIENT <= interval[1]
    assert covered >= 52  # of 60 at 95%; fewer come by chance in 1 of 100 tries


def test_a_gradient_that_may_be_0_has_no_scale() -> None:
    rng = np.random.default_rng(0)
    assert noise.ratio(rng.normal(50, 1, 8), rng.normal(0.1, 1, 8)) == (None, None)
    assert noise.ratio(rng.normal(50, 1, 8), rng.normal(-9, 1, 8)) == (None, None)
    assert noise.ratio([float("nan")] * 8, [1.0] * 8) == (None, None)
    found = noise.Noise(100, 0.1, 64, 64, 8, 50.0, 0.1, None, None)
    assert "over 512 images the gradient cannot be told from it" in noise.advice(found)


def test_the_interval_is_fiellers() -> None:
    """Where the lower mean is exact it is Student's of the upper one, divided by it."""
    tops = [3.0, 5.0, 4.0, 6.0]
    reach = 3.182446 * np.std(tops, ddof=1) / 2
    scale, interval = noise.ratio(tops, [2.0] * 4)
    assert scale == pytest.approx(2.25) and interval == pytest.approx([(4.5 - reach) / 2, (4.5 + reach) / 2])


def test_advice_tells_what_a_batch_costs() -> None:
    line = noise.advice(noise.Noise(100, 0.1, 64, 16, 8, 81.0, 0.5, 160.0, [140.0, 200.0]))
    assert "160 images [140, 200]" in line and "3.5 times the fewest steps and 1.4 times the fewest images" in line

"""Compound scaling (Tan and Le 2019, arXiv:1905.11946): how depth, width and resolution grow together.

A network of phi has alpha^phi times the depth, beta^phi times the width and gamma^phi times the resolution of the base
network. Its multiply-adds grow as (alpha * beta^2 * gamma^2)^phi, which the paper holds near 2^phi.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import sqrt
from statistics import mean, stdev
from typing import Any

import torch

from cnntrain.build import trial
from cnntrain.build.run import build
from cnntrain.config.model import Scale
from cnntrain.config.schema import TrainConfig
from cnntrain.models import auxiliary
from cnntrain.search.journal import Journal
from cnntrain.study.anatomy import layers

GROWTH = 2.0  # of the multiply-adds, from one phi to the next
SLACK = 1.02  # a gamma just below 1 counts as 1


@dataclass(frozen=True)
class Factors:
    """Of depth, width and resolution, at phi = 1."""

    alpha: float
    beta: float
    gamma: float

    def scale(self, base: Scale, phi: float) -> Scale:
        return Scale(base.depth * self.alpha**phi, base.width * self.beta**phi, base.resolution * self.gamma**phi)

    def scaled(self, config: TrainConfig, phi: float) -> TrainConfig:
        """A training of the network of this phi."""
        return replace(config, model=replace(config.model, scale=self.scale(config.model.scale, phi)))


@dataclass(frozen=True)
class Cell:
    """One pair of alpha and beta, trained with each seed.

    Attributes:
        values: of val, one a seed; None where a loss was no number.
        seconds: that its trainings took.
    """

    factors: Factors
    params: int
    macs: int
    values: Sequence[float | None]
    seconds: float

    @property
    def numbers(self) -> list[float]:
        return [each for each in self.values if each is not None]

    @property
    def value(self) -> float | None:
        """The mean over the seeds; None where one is no number."""
        return mean(self.numbers) if len(self.numbers) == len(self.values) else None

    @property
    def deviation(self) -> float | None:
        """Of the seeds (n - 1)."""
        return stdev(self.numbers) if self.value is not None and len(self.values) > 1 else None

    def facts(self) -> dict[str, Any]:
        of = {name: getattr(self, name) for name in ("params", "macs", "values", "value", "deviation", "seconds")}
        return {**asdict(self.factors), **of}


def grid(alphas: Sequence[float], betas: Sequence[float]) -> list[Factors]:
    """Those with alpha * beta^2 * gamma^2 = 2 and no factor below 1."""
    found = []
    for alpha in sorted(set(alphas)):
        for beta in sorted(set(betas)):
            gamma = sqrt(GROWTH / (alpha * beta**2))
            if gamma * SLACK >= 1:
                found.append(Factors(alpha, beta, max(1.0, gamma)))
    return found


def tried(journal: Journal, config: TrainConfig, factors: Factors, seeds: int) -> Cell:
    """The networks of phi = 1, each trained unless the journal has it.

    Raises:
        StopError: a signal came; what was trained so far is in the journal.
    """
    records = []
    for seed in range(config.seed, config.seed + seeds):
        key = f"alpha={factors.alpha:g} beta={factors.beta:g} seed={seed}"
        record = journal.records.get(key)
        records.append(record or journal.add(key, trial.tried(replace(factors.scaled(config, 1), seed=seed))))
    seconds = sum(each["seconds"] for each in records)
    return Cell(factors, records[0]["params"], records[0]["macs"], [each["value"] for each in records], seconds)


def chosen(cells: Sequence[Cell]) -> Cell | None:
    """The best on val; of equal ones the one of the fewest multiply-adds. None where no network learned."""
    sound = [each for each in cells if each.value is not None]
    return max(sound, key=lambda each: (each.value, -each.macs), default=None)


def reach(cells: Sequence[Cell]) -> float | None:
    """By how much two cells must differ for their seeds to tell them apart: half of Student's interval of 95% of the
    difference of two means, with the variance of the seeds in all cells. None of one seed."""
    from scipy.stats import t as student

    found = [each for each in cells if each.deviation is not None]
    if not found:
        return None
    seeds = len(found[0].values)
    variance = mean(each.deviation**2 for each in found if each.deviation is not None)
    return float(student.ppf(0.975, len(found) * (seeds - 1)) * sqrt(2 * variance / seeds))


def nets(config: TrainConfig, factors: Factors, phis: Sequence[int]) -> list[dict[str, Any]]:
    """Factors, resolution, parameters and multiply-adds of the networks of each phi."""
    plain = replace(config.model, scale=replace(config.model.scale, resolution=1.0))
    base = build(replace(config, model=plain))
    classes, seen = len(base.data.classes), base.loaders.preprocess
    found = []
    for phi in sorted(set(phis)):
        model = factors.scaled(config, phi).model
        pixels = model.scaled(seen.image_size)
        small_stem = bool(getattr(base.state.model, "small_stem", False))
        with torch.device("meta"):
            net = model.create(classes, seen.channels, pixels, pretrained=False, small_stem=small_stem)
        params = sum(each.numel() for each in auxiliary.main_parameters(net))
        macs = layers.measure(net, (seen.channels, pixels, pixels))[1]
        found.append({"phi": phi, **asdict(model.scale), "image_size": pixels, "params": params, "macs": macs})
    return found

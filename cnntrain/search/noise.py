"""The simple noise scale of McCandlish et al. 2018 (arXiv:1812.06162): how large a batch would be, over whose mean the
gradient is as large as its noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
import torch
from scipy.stats import t as student
from torch import Tensor

from cnntrain.build.run import build
from cnntrain.build.trial import fitted
from cnntrain.config.schema import TrainConfig
from cnntrain.core import seeds
from cnntrain.data.batches.feed import Batch
from cnntrain.data.batches.plan import Plan
from cnntrain.schedule.constant import Constant
from cnntrain.search.lr_range import short
from cnntrain.training.run import Run

REPEATS = 8  # groups of batches, over which the estimate is seen to vary
LEVEL = 0.95


@dataclass(frozen=True)
class Noise:
    """Attributes:
    steps, rate: how the network was trained before.
    step: images of an optimizer step.
    images: of a batch by which it was measured: what is computed at once of them.
    batches: in each repeat.
    trace: of the covariance of single images' gradients, the mean over repeats.
    gradient: the squared length of the gradient without noise; by chance it may be below 0.
    scale: B_simple, their ratio, in images; None where the gradient cannot be told from its noise.
    interval: of 95%.
    """

    steps: int
    rate: float
    step: int
    images: int
    batches: int
    trace: float
    gradient: float
    scale: float | None
    interval: Sequence[float] | None


def measured(config: TrainConfig, rate: float, steps: int, batches: int) -> Noise:
    """Of a network that is trained for some steps at a constant rate, and thrown away.

    Args:
        batches: of ``data.batch_size``, by which it is measured, drawn with replacement.

    Raises:
        LossError: a loss was no number.
        StopError: a signal came.
    """
    run = fitted(build(short(config, steps, Constant("constant", 0), rate)))
    step, each = run.loaders.batch_size, batches // REPEATS
    images = step // run.loaders.share.pieces
    lengths = [squared_lengths(run, drawn(run, number * each, each, images)) for number in range(REPEATS)]
    traces, gradients = zip(*(estimates(*found, images, each) for found in lengths), strict=True)
    scale, interval = ratio(traces, gradients)
    return Noise(steps, rate, step, images, each, float(np.mean(traces)), float(np.mean(gradients)), scale, interval)


def advice(found: Noise) -> str:
    """For people. How many steps and images a batch costs is the paper's equation 2.11."""
    head = f"gradient noise after {found.steps} steps at {found.rate:.2g}:"
    if found.scale is None or found.interval is None:
        many = f"{found.images * found.batches:,} images"
        return f"{head} over {many} the gradient cannot be told from it, so that larger batches lose nothing yet"
    low, high = found.interval
    steps, images = 1 + found.scale / found.step, 1 + found.step / found.scale
    return (
        f"{head} B_simple is {found.scale:,.0f} images [{low:,.0f}, {high:,.0f}]. Batches of {found.step:,} take "
        f"about {steps:.1f} times the fewest steps and {images:.1f} times the fewest images; it grows as the loss falls"
    )


def drawn(run: Run, first: int, count: int, images: int) -> Iterable[Batch]:
    """Batches of independent draws, each augmented as in an epoch of its own that has not been."""
    assert run.phase is not None, "it has been trained"
    for number in range(first, first + count):
        epoch = run.state.progress.epoch + 1 + number
        order = run.loaders.train_plan(epoch).order
        picked = torch.randint(len(order), (images,), generator=seeds.generator(run.config.seed, "noise", epoch))
        plan = Plan(epoch, order[picked], torch.tensor([0]), torch.tensor([images]))
        seeds.seed_step(run.config.seed, "noise", number)
        yield from run.phase.train.batches(plan)


def squared_lengths(run: Run, batches: Iterable[Batch]) -> tuple[float, float]:
    """Of the gradient of a batch, in the mean, and of the gradient over all of them."""
    assert run.phase is not None, "it has been trained"
    network = run.phase.network

    def loss(batch: Batch) -> Tensor:
        with run.precision:
            value, _ = run.objective.loss(network(batch.inputs), batch.targets)
        run.heed()
        return run.state.scaler.scale(value.sum())

    run.state.freezing.train_mode()
    weights = [each for each in run.state.model.parameters() if each.requires_grad]
    small, big = lengths_of(weights, loss, batches)
    factor = run.state.scaler.get_scale() ** 2
    return small / factor, big / factor


def lengths_of(
    weights: Sequence[Tensor], loss: Callable[[Batch], Tensor], batches: Iterable[Batch]
) -> tuple[float, float]:
    """As `squared_lengths`.

    Args:
        loss: of a batch, whose gradient in the weights is meant.
    """
    sums, squares = [torch.zeros_like(each) for each in weights], []
    for batch in batches:
        gradients = torch.autograd.grad(loss(batch), weights, allow_unused=True)
        found = [torch.zeros_like(own) if each is None else each for own, each in zip(weights, gradients, strict=True)]
        squares.append(_squared(found))
        for total, each in zip(sums, found, strict=True):
            total += each
    return float(np.mean(squares)), _squared(sums) / len(squares) ** 2


def _squared(vectors: Iterable[Tensor]) -> float:
    return sum(float(torch.linalg.vector_norm(each.detach().float())) ** 2 for each in vectors)


def estimates(small: float, big: float, images: int, batches: int) -> tuple[float, float]:
    """The trace of the covariance and the squared length of the true gradient, both without bias (appendix A.1).

    Args:
        small: squared length of the gradient of `images`, in the mean.
        big: that of `batches` times as many.
    """
    trace = (small - big) / (1 / images - 1 / (images * batches))
    return trace, (batches * big - small) / (batches - 1)


def ratio(tops: Sequence[float], bottoms: Sequence[float]) -> tuple[float | None, list[float] | None]:
    """The ratio of two means of pairs, and its interval by Fieller 1954 (doi:10.1111/j.2517-6161.1954.tb00159.x); None
    where the lower mean may be 0, or one is no number."""
    a, b, n = float(np.mean(tops)), float(np.mean(bottoms)), len(tops)
    (aa, ab), (_, bb) = (np.cov(tops, bottoms) / n).tolist()
    t = float(student.ppf((1 + LEVEL) / 2, n - 1))
    lead = b**2 - t**2 * bb
    if not (b > 0 and lead > 0 and isfinite(a)):
        return None, None
    middle = a * b - t**2 * ab
    reach = sqrt(max(0.0, middle**2 - lead * (a**2 - t**2 * aa)))
    return a / b, [(middle - reach) / lead, (middle + reach) / lead]

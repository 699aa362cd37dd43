"""Mean and deviation of the training part's pixels, for normalisation."""

from __future__ import annotations

import torch

from cnntrain.core import seeds
from cnntrain.data.batches.plan import Plan
from cnntrain.data.batches.reader import Reader
from cnntrain.data.batches.samples import Samples, Transform
from cnntrain.data.sets.dataset import Part

MOST_IMAGES = 5000  # a larger part is sampled: the mean of 5,000 images is known to well under a grey level
AT_ONCE = 64


def mean_and_deviation(part: Part, fit: Transform, workers: int = 0) -> tuple[list[float], list[float]]:
    """Mean and standard deviation a channel, of values in [0, 1] (of signals as they are), over the images as an
    evaluation sees them.

    A part of more than `MOST_IMAGES` is represented by so many of its images, always the same.

    Args:
        workers: processes that read them; what they find is the same to the last bit.
    """
    chosen = torch.randperm(len(part), generator=seeds.generator("statistics"))[:MOST_IMAGES].sort().values
    ends = torch.arange(AT_ONCE, len(chosen) + AT_ONCE, AT_ONCE).clamp(max=len(chosen))
    plan = Plan(0, chosen, ends - ends.diff(prepend=torch.zeros(1, dtype=torch.int64)), ends)
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for loaded in Reader(Samples(part, fit, None), workers, torch.device("cpu")).batches(plan):
        assert loaded is not None, "the plan has no empty batch"
        white = 1 if loaded[0].is_floating_point() else torch.iinfo(loaded[0].dtype).max
        pixels = loaded[0].double().transpose(0, 1).flatten(1) / white
        count += pixels.shape[1]
        total = total + pixels.sum(dim=1)
        squares = squares + pixels.square().sum(dim=1)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
    # a constant channel is only shifted
    return mean.tolist(), torch.where(deviation > 1e-6, deviation, 1.0).tolist()

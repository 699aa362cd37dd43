"""How true a map is to the network: whether it points where the answer is, whether what it marks carries the answer,
and whether it changes with the weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torchvision.transforms.v2.functional import gaussian_blur

from cnntrain.core import seeds
from cnntrain.study.explain.cam import sides
from cnntrain.study.explain.gradients import chosen
from cnntrain.study.explain.subject import Subject
from cnntrain.transfer.groups import coarse_groups

STEPS = 20  # points of a deletion or insertion curve after its first


def points_inside(maps: Tensor, boxes: np.ndarray) -> np.ndarray:
    """The pointing game (Zhang et al. 2016, arXiv:1608.00507): whether the greatest value of each map lies in its box;
    of several equal ones the share that does, so that a map without any opinion scores as chance does.

    Args:
        maps: [images, height, width].
        boxes: top, left, bottom, right (the last two outside), int64 [images, 4].

    Returns:
        float64 [images], from 0 to 1.
    """
    scores = []
    for values, (top, left, bottom, right) in zip(maps, boxes.tolist(), strict=True):
        greatest = values == values.max()
        scores.append(float(greatest[top:bottom, left:right].sum() / greatest.sum()))
    return np.array(scores)


def deletion(subject: Subject, inputs: Tensor, targets: Tensor, maps: Tensor) -> Tensor:
    """The area under the target's probability while pixels become the mean colour, the most marked first (Petsiuk et
    al. 2018, arXiv:1806.07421): float64 [images]; less is better.

    Args:
        subject: of masks and boxes one that is `asked` about these images.
    """
    return _area(subject, targets, maps, inputs, torch.zeros_like(inputs))


def insertion(subject: Subject, inputs: Tensor, targets: Tensor, maps: Tensor) -> Tensor:
    """The same while pixels of the image come into its blurred self: more is better."""
    return _area(subject, targets, maps, blurred(inputs), inputs)


def blurred(inputs: Tensor) -> Tensor:
    """So much that no class is left: along each side by a deviation of an eighth of it."""
    found = inputs
    for side in sides(inputs):
        last = found.movedim(side, -1)
        width = max(1, last.shape[-1] // 4 * 2 - 1)
        rows = last.flatten(0, -2)[:, None, None]  # each row a picture of the height 1
        found = gaussian_blur(rows, [width, 1], [last.shape[-1] / 8, 1.0]).view(last.shape).movedim(-1, side)
    return found


def _area(subject: Subject, targets: Tensor, maps: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """The mean of the trapezoids of the curve from one image to the other."""
    ranks = maps.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1).view(maps.shape)
    pixels = maps[0].numel()
    curve = []
    with torch.no_grad():
        for step in range(STEPS + 1):
            changed = (ranks < pixels * step / STEPS)[:, None]
            mixed = torch.where(changed, end, start)
            curve.append(chosen(subject.probabilities(mixed), targets))
    rows = torch.stack(curve)
    return (rows[:-1] + rows[1:]).mean(0) / 2


def correlation(first: Tensor, second: Tensor) -> np.ndarray:
    """Spearman's rank correlation of the absolute values of maps, float64 [images]; 0 where one is the same at all
    pixels."""
    rows = []
    for one, other in zip(first.abs().flatten(1).numpy(), second.abs().flatten(1).numpy(), strict=True):
        rows.append(0.0 if np.ptp(one) == 0 or np.ptp(other) == 0 else float(spearmanr(one, other).statistic))
    return np.array(rows)


def cascading(network: nn.Module, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Copies of a network whose groups of layers are random, from the head down to the stem: each with the name of the
    group that was the last (Adebayo et al. 2018, arXiv:1810.03292)."""
    current, random = deepcopy(network), reset(network, seed)
    for group in reversed(coarse_groups(network)):
        _take(current, random, group.parameters)
        yield group.name, current


def independent(network: nn.Module, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Copies of a network of which one group of layers is random, from the head down to the stem."""
    random = reset(network, seed)
    for group in reversed(coarse_groups(network)):
        current = deepcopy(network)
        _take(current, random, group.parameters)
        yield group.name, current


def reset(network: nn.Module, seed: int) -> nn.Module:
    """A copy with the weights that its layers draw for themselves; parameters that belong to no such layer are a
    permutation of what they were."""
    fresh = deepcopy(network)
    owned: set[str] = set()
    with seeds.generators_kept(), torch.no_grad():
        torch.manual_seed(seed)
        for name, module in fresh.named_modules():
            if callable(draw := getattr(module, "reset_parameters", None)):
                draw()
                owned |= {f"{name}.{each}" for each, _ in module.named_parameters(recurse=False)}
        for name, each in fresh.named_parameters():
            if name not in owned:
                each.copy_(each.flatten()[torch.randperm(each.numel(), device=each.device)].view_as(each))
    return fresh


def _take(current: nn.Module, random: nn.Module, parameters: tuple[str, ...]) -> None:
    """Give it another's parameters, with the buffers beside them, such as BatchNorm's statistics."""
    owners = {name.rpartition(".")[0] for name in parameters}
    mine = current.state_dict()
    with torch.no_grad():
        for name, value in random.state_dict().items():
            if name in parameters or (
                name.rpartition(".")[0] in owners and name not in dict(random.named_parameters())
            ):
                mine[name].copy_(value)

"""How much of a new task each stage of a trained network knows: the measurement behind ``transfer=auto``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from cnntrain.transfer.base import Outset
from cnntrain.transfer.groups import coarse_groups
from cnntrain.transfer.probing.probes import stage_maps

FOLDS = 5
LEAST = 10  # images of each class that is looked at, where there are so many
PENALTIES = np.logspace(-2, 4, 7)


def measure(run: Outset, probe_images: int) -> dict[str, Any]:
    """Accuracy of a linear classifier on each stage's channels, averaged over the map, by cross-validation.

    It is ridge regression on the classes, in closed form, with the penalty that leave-one-out prefers.

    Returns:
        ``images`` and ``classes`` of the training part, ``probed`` images, and ``stages``: of each its name, its
        ``accuracy`` (None where no class has two images) and how many of the model's first ``groups`` compute it.
    """
    rows = subset(run.labels, probe_images)
    (image,) = run.images([0])
    groups = _groups_before(run.model, image)
    accuracies: dict[str, float | None] = dict.fromkeys(groups)
    if len(rows):
        accuracies |= {name: _accuracy(each, run.labels[rows]) for name, each in _channels(run, rows).items()}
    return {
        "images": len(run.labels),
        "classes": run.classes,
        "probed": len(rows),
        "stages": [{"stage": name, "accuracy": accuracies[name], "groups": count} for name, count in groups.items()],
    }


def subset(labels: np.ndarray, size: int) -> np.ndarray:
    """Positions of at most `size` images, the same in every run: `LEAST` or more of each of some classes.

    Only classes with two images or more can be cross-validated. Empty where there are not two such classes.
    """
    random = np.random.default_rng(0)
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    usable = [random.permutation(each) for each in classes if len(each) > 1]
    if len(usable) < 2:
        return np.array([], dtype=np.int64)
    chosen = random.permutation(len(usable))[: max(2, size // LEAST)]
    by_turns = sorted((turn, number) for number in chosen for turn in range(len(usable[number])))
    return np.sort([usable[number][turn] for turn, number in by_turns[:size]])


@torch.no_grad()
def _channels(run: Outset, rows: np.ndarray) -> dict[str, np.ndarray]:
    """For each stage [rows, channels]."""
    batches = [
        {name: each.mean((2, 3)).float().cpu() for name, each in stage_maps(run.model, images).items()}
        for images in run.images(rows.tolist())
    ]
    return {name: torch.cat([batch[name] for batch in batches]).numpy() for name in batches[0]}


def _accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    folds = min(FOLDS, int(np.unique(labels, return_counts=True)[1].min()))
    splitter = StratifiedKFold(folds, shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), RidgeClassifierCV(PENALTIES))
    return float(cross_val_score(model, features, labels, cv=splitter).mean())


def _groups_before(model: nn.Module, image: Tensor) -> dict[str, int]:
    """For each stage how many of the model's coarse groups, from the stem on, come before its map or in it."""
    groups = coarse_groups(model)
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = {}
    with torch.enable_grad():
        for stage, each in stage_maps(model, image).items():
            gradients = torch.autograd.grad(each.sum(), parameters, retain_graph=True, allow_unused=True)
            used = {name for name, gradient in zip(names, gradients, strict=True) if gradient is not None}
            numbers = [number for number, group in enumerate(groups, 1) if used.intersection(group.parameters)]
            found[stage] = max(numbers, default=0)
    return found

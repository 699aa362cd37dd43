"""What scikit-learn makes of the same features: a yardstick that owes nothing to our training."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from cnntrain.transfer.base import Finished

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)  # C of the logistic regression: the inverse of its L2 penalty
ITERATIONS = 500

Part = tuple[np.ndarray, np.ndarray]  # features [n, features], labels [n]


def judge(run: Finished, wanted: Sequence[str], neighbors: int) -> list[dict[str, Any]]:
    """For each depth of the model what each of the classifiers `wanted` achieves on val and test.

    All features of all parts are held in RAM.
    """
    found = []
    for parts in _gather(run):
        classifiers: dict[str, Callable[[], dict[str, Any]]] = {
            "knn": lambda parts=parts: _nearest(parts, neighbors),  # type: ignore[misc]
            "logistic": lambda parts=parts: _logistic(parts),  # type: ignore[misc]
        }
        row = {}
        for name in wanted:
            run.heed()
            row[name] = classifiers[name]()
        found.append(row)
    return found


@torch.no_grad()
def _gather(run: Finished) -> list[dict[str, Part]]:
    """For each depth the features and labels of train, val and test."""
    backbone: Any = run.model.eval().backbone
    depths: list[dict[str, Part]] = [{} for _ in backbone.sizes]
    for part in ("train", *run.parts):
        batches = []
        for batch in run.batches(part):
            run.heed()
            batches.append(([each.float().cpu() for each in backbone(batch.inputs)], batch.targets))
        labels = torch.cat([labels for _, labels in batches]).cpu().numpy()
        for depth, kept in enumerate(depths):
            kept[part] = torch.cat([features[depth] for features, _ in batches]).numpy(), labels
    return depths


def _nearest(parts: Mapping[str, Part], neighbors: int) -> dict[str, Any]:
    """The majority of the nearest training images, by the angle between features."""
    features, labels = parts["train"]
    model = KNeighborsClassifier(min(neighbors, len(labels)), metric="cosine", algorithm="brute").fit(features, labels)
    return _scores(model, parts)


def _logistic(parts: Mapping[str, Part]) -> dict[str, Any]:
    """Logistic regression by L-BFGS on standardised features, as strongly regularised as suits val."""
    scaler = StandardScaler().fit(parts["train"][0])
    scaled = {part: (scaler.transform(features), labels) for part, (features, labels) in parts.items()}
    best: dict[str, Any] = {}
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # told by `converged`
            model.fit(*scaled["train"])
        scores = _scores(model, scaled)
        if not best or scores["val_top1"] > best["val_top1"]:
            best = {"C": strength, "converged": bool(model.n_iter_.max() < ITERATIONS), **scores}
    return best


def _scores(model: Any, parts: Mapping[str, Part]) -> dict[str, Any]:
    return {f"{part}_top1": float(model.score(*data)) for part, data in parts.items() if part != "train"}

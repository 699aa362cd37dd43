"""What several networks that answer as one gain over one of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from cnntrain.runs.predictions import Predictions
from cnntrain.study.paired.statistics import bootstrap
from cnntrain.tasks.base import Column

TOP = re.compile(r"top(\d+)")


def gains(whole: Predictions, members: Sequence[Predictions], columns: Iterable[Column]) -> dict[str, dict[str, Any]]:
    """By the name of each top-k accuracy the members' ``mean``, what they reach ``together``, the ``difference``, and
    its ``interval`` of 95%: by bootstrap over the images, so it is that of these networks. All are fractions.

    Args:
        whole: the answers together, to the same images in the same order.
    """
    found = {}
    for column in columns:
        top = TOP.fullmatch(column.name)
        if top is None:
            continue
        right = in_top(whole, int(top[1])).astype(float)
        alone = np.stack([in_top(each, int(top[1])) for each in members])
        gaps = right - alone.mean(0)
        found[column.name] = {
            "mean": float(alone.mean()),
            "together": float(right.mean()),
            "difference": float(gaps.mean()),
            "interval": bootstrap(gaps),
        }
    return found


def in_top(found: Predictions, k: int) -> np.ndarray:
    """Whether the label is among the k likeliest classes, bool [n], as the metrics of `tasks.classify` have it."""
    best = torch.from_numpy(found.logits).topk(min(k, found.logits.shape[1])).indices.numpy()
    return (best == found.labels[:, None]).any(1)

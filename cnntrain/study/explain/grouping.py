"""Images with what the network makes of them, and to which class each belongs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cnntrain.core.errors import InputError
from cnntrain.study.explain.explaining import LABEL, PREDICTED
from cnntrain.study.explain.subject import Shown, Subject


@dataclass(frozen=True)
class Seen:
    """Images that could be read, in their order.

    Attributes:
        positions: among all that were shown.
        rows: what was computed of each, float32 [images, ...].
        answers: the most probable class of each.
        classes: of each its folder where all folders are classes of the network, else its answer.
        by: which of the two: label or predicted.
    """

    positions: list[int]
    rows: np.ndarray
    answers: list[str]
    classes: list[str]
    by: str


@torch.no_grad()
def look(subject: Subject, shown: Shown, compute: Callable[[Tensor], Tensor], least: int, what: str) -> Seen:
    """All images, one pass.

    Args:
        compute: of what the network sees, [images, ...].
        least: images that are needed, for `what`.

    Raises:
        InputError: fewer can be read.
    """
    positions, rows, answers = list[int](), list[np.ndarray](), list[str]()
    for some, inputs in shown.batches():
        positions += some
        rows.append(compute(inputs).float().cpu().numpy())
        answers += [subject.classes[each] for each in subject.answers(inputs).tolist()]
    if len(positions) < least:
        raise InputError(f"{what} needs {least} images or more that can be read, and there are {len(positions)}")
    labels = [shown.labels[each] for each in positions]
    known = set(labels) <= set(subject.classes)
    return Seen(positions, np.concatenate(rows), answers, labels if known else answers, LABEL if known else PREDICTED)


def present(classes: Sequence[str], order: Sequence[str]) -> list[str]:
    """Those that occur, in the network's order."""
    found = set(classes)
    return [each for each in order if each in found]

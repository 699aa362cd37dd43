"""Mean images of classes."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

from cnntrain.study.explain import tiles
from cnntrain.study.explain.base import Picture
from cnntrain.study.explain.grouping import look, present
from cnntrain.study.explain.subject import Shown, Subject

T = TypeVar("T")
CONTRAST = 0.5  # of the difference's range that is drawn around the middle grey


def picture(subject: Subject, shown: Shown) -> Picture:
    """Above the mean image of each class, below by what it differs from the mean of these: grey where it does not.

    Raises:
        InputError: no image can be read.
    """
    sums, counts = dict[str, torch.Tensor](), dict[str, int]()
    seen = look(subject, shown, lambda inputs: inputs.new_zeros(len(inputs), 0), 1, "method=class_means")
    classes = dict(zip(seen.positions, seen.classes, strict=True))
    for positions, inputs in shown.batches():
        for position, image in zip(positions, inputs.double(), strict=True):
            own = classes[position]
            sums[own] = sums[own] + image if own in sums else image
            counts[own] = counts.get(own, 0) + 1
    names = present(seen.classes, subject.classes)
    means = torch.stack([sums[each] / counts[each] for each in names]).to(subject.blank())
    with torch.no_grad():
        best = subject.probabilities(means).max(1)
    pixels = subject.seen.undo(means).cpu().numpy()
    apart = pixels - pixels.mean(0)
    apart = 0.5 + CONTRAST * apart / (np.abs(apart).max() or 1)
    answers = [subject.classes[each] for each in best.indices.tolist()]
    labels = [f"{each} ({counts[each]})" for each in names]
    below = [f"answer {each}\n{share:.0%}" for each, share in zip(answers, best.values.tolist(), strict=True)]
    drawn = [tiles.of_image(each) for each in (*pixels, *apart)]
    title = f"means of classes by {seen.by}, and by what each differs from the mean of these"
    columns, words = len(names), [*labels, *below]
    if pixels.ndim > 4:  # volumes are wide: a class a row
        columns, drawn, words = 2, _in_turn(drawn), _in_turn(words)
    figure = tiles.figure(drawn, words, columns, title, 4.5 if pixels.ndim > 4 else 1.5)
    rows = [
        {"class": each, "images": counts[each], "answer": answer, "probability": share}
        for each, answer, share in zip(names, answers, best.values.tolist(), strict=True)
    ]
    return Picture("class_means", figure, {"means": pixels, "classes": np.array(names)}, {"classes": rows})


def _in_turn(values: list[T]) -> list[T]:
    """The first of the first half, the first of the second, and so on."""
    half = len(values) // 2
    return [each for pair in zip(values[:half], values[half:], strict=True) for each in pair]

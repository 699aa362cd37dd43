"""How far the answers of two networks are apart, by batches."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cnntrain.core.adversaries import Seen, latents
from cnntrain.tasks.base import Task
from cnntrain.tasks.classify import Classify
from cnntrain.tasks.detect import Detect
from cnntrain.tasks.detect.metrics import Judged
from cnntrain.tasks.generate import Generate
from cnntrain.tasks.multilabel import Multilabel
from cnntrain.tasks.segment import Segment

LABELS = Classify(name="classify", metrics=[], loss="cross_entropy", gamma=None)


def softmax(values: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(values - values.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


@pytest.mark.parametrize(
    ("task", "shape", "axis", "answers"),
    [(LABELS, (6, 4), 1, "answers"), (Segment("segment"), (6, 4, 5, 3), 1, "pixels")],
)
def test_answers_are_counted_and_probabilities_held_against_each_other(
    task: Task, shape: tuple[int, ...], axis: int, answers: str
) -> None:
    generator = np.random.default_rng(0)
    one = generator.normal(size=shape).astype(np.float32)
    other = one + generator.normal(scale=0.8, size=shape).astype(np.float32)
    comparison = task.comparison(2.0)
    for start in (0, 4):
        comparison.add(torch.from_numpy(one[start : start + 4]), torch.from_numpy(other[start : start + 4]))
    found = comparison.difference()
    first, second = (softmax(each.astype(np.float64) / 2, axis) for each in (one, other))
    changed = first.argmax(axis) != second.argmax(axis)
    assert 0 < found.changed == changed.sum() < found.compared == changed.size
    assert found.largest == pytest.approx(np.abs(first - second).max(), rel=1e-9)
    assert (found.answers, found.number) == (answers, "a probability")


def test_what_is_no_number_is_no_small_difference() -> None:
    comparison = LABELS.comparison(1.0)
    comparison.add(torch.zeros(2, 3), torch.tensor([[0.0, float("nan"), 0.0], [0.0, 0.0, 0.0]]))
    comparison.add(torch.zeros(2, 3), torch.zeros(2, 3))
    assert isnan(comparison.difference().largest)


def test_several_labels_have_probabilities_of_their_own() -> None:
    comparison = Multilabel(name="multilabel", loss="bce", gamma=None, margin=None).comparison(1.0)
    comparison.add(torch.tensor([[0.0, 5.0]]), torch.tensor([[0.1, 5.0]]))
    assert comparison.difference().largest == pytest.approx(1 / (1 + np.exp(-0.1)) - 0.5)


class Times(nn.Module):
    """Makes images of 1x1 pixels, so many times the first of their numbers."""

    latent = 3

    def __init__(self, times: float):
        super().__init__()
        self.times = times

    def generate(self, numbers: Tensor) -> Tensor:
        return (self.times * numbers[:, :1, None, None]).clamp(-1, 1)

    def discriminate(self, images: Tensor) -> Tensor:
        return images.flatten()


def test_generators_are_compared_by_the_images_of_the_numbers_that_they_are_judged_by() -> None:
    comparison = Generate(name="generate", samples=150, features=None).comparison(1.0)
    like = torch.zeros(2, 1, 1, 1)
    comparison.add(*(Seen(like, like.flatten(), Times(each)) for each in (0.1, 0.2)))
    found = comparison.difference()
    numbers = latents(range(150), 3)[:, 0].double().numpy()
    assert found.compared == 150 and 100 < found.changed < 150
    assert found.largest == pytest.approx(np.abs(0.1 * numbers).max(), rel=1e-5)
    assert found.answers == "values of 150 made images"


def detections(*each: tuple[float, float, float, float, float, float]) -> Tensor:
    """Of an image: class, score and box."""
    return torch.tensor([[0.0, *row] for row in each] + [[1.0, 2.0, 0.0, 0.0, 0.0, 9.0, 9.0]])  # and an object


def test_detections_are_compared_with_their_partners() -> None:
    one = detections((1, 0.9, 0, 0, 10, 20), (2, 0.5, 5, 5, 9, 9), (1, 0.3, 30, 30, 40, 40))
    other = detections((2, 0.6, 5, 5, 9, 9.2), (1, 0.9, 0, 0, 10, 20), (2, 0.3, 30, 30, 40, 40))
    comparison = Detect(name="detect", metrics=[]).comparison(1.0)
    for second in (one, other):
        comparison.add(Judged(torch.zeros(1), one[None]), Judged(torch.zeros(1), second[None]))
    found = comparison.difference()
    assert (found.changed, found.compared) == (2, 3 + 4)  # of another class is another detection, on both sides
    assert found.largest == pytest.approx(2 / 7)
    alone = Detect(name="detect", metrics=[]).comparison(1.0)
    alone.add(Judged(torch.zeros(1), one[None, :2]), Judged(torch.zeros(1), other[None, :2]))
    assert alone.difference().largest == pytest.approx(0.1) and alone.difference().changed == 0


def test_a_detection_with_another_mask_is_another_one() -> None:
    rows, masks = detections((1, 0.9, 0, 0, 10, 20))[None], torch.ones(1, 10, 10)
    comparison = Detect(name="detect", metrics=[]).comparison(1.0)
    comparison.add(*(Judged(torch.zeros(1), rows, [each]) for each in (masks, masks * (torch.rand(10, 10) > 0.1))))
    assert comparison.difference().changed == 2

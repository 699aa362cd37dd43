"""Measures of how true a map is, on maps and networks of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from looking import images, network, subject_of
from sklearn.datasets import load_digits
from torch import Tensor, nn

from cnntrain.core.digest import digest
from cnntrain.study.explain import canvases, faithfulness
from cnntrain.study.explain.hooks import undisturbed
from cnntrain.study.explain.methods.gradcam import Gradcam
from cnntrain.study.explain.subject import Subject

BOXES = np.array([[2, 3, 5, 6], [0, 0, 4, 4]])


def test_the_greatest_value_is_in_the_box_or_not() -> None:
    maps = torch.zeros(2, 8, 8)
    maps[0, 4, 5] = maps[1, 4, 0] = 1
    assert faithfulness.points_inside(maps, BOXES).tolist() == [1, 0]
    maps[0, 5, 5] = 1  # another as great one, outside
    assert faithfulness.points_inside(maps, BOXES).tolist() == [0.5, 0]
    assert faithfulness.points_inside(torch.ones(2, 8, 8), BOXES).tolist() == [9 / 64, 16 / 64]


class Corner(nn.Module):
    """Sees the four pixels in the upper left alone."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(6.0))

    def forward(self, inputs: Tensor) -> Tensor:
        found = self.scale * inputs[:, :, :2, :2].mean((1, 2, 3))
        return torch.stack([found, torch.zeros_like(found)], 1)


def corner() -> tuple[Subject, Tensor, Tensor]:
    return subject_of(Corner(), 16, 1, 2), torch.ones(1, 1, 16, 16), torch.tensor([0])


def curve(values: list[float]) -> float:
    return float(np.trapezoid(values, dx=1 / (len(values) - 1)))


def test_curves_are_the_areas_of_what_is_taken_away() -> None:
    subject, inputs, targets = corner()
    right, wrong = torch.zeros(2, 1, 16, 16)
    right[0, :2, :2], wrong[0, :2, :2] = 1, -1
    sure = 1 / (1 + np.exp(-6.0))
    best = curve([sure] + 20 * [0.5])  # a step is 12.8 pixels, so that the first one takes all four
    worst = curve(20 * [sure] + [0.5])
    for maps, expected in ((right, best), (wrong, worst)):
        found = faithfulness.deletion(subject, inputs, targets, maps)
        assert found.tolist() == pytest.approx([expected], abs=1e-6)


def test_insertion_rewards_what_deletion_does() -> None:
    subject, _, targets = corner()
    inputs = torch.full((1, 1, 16, 16), -1.0)
    inputs[:, :, :2, :2] = 1
    right, wrong = torch.zeros(2, 1, 16, 16)
    right[0, :2, :2], wrong[0, :2, :2] = 1, -1
    with torch.no_grad():
        assert subject.probabilities(faithfulness.blurred(inputs))[0, 0] < 0.5
    first, second = (float(faithfulness.insertion(subject, inputs, targets, each)) for each in (right, wrong))
    assert first > 0.9 and second < 0.3


def test_correlation_is_of_ranks_of_absolute_values() -> None:
    values = images(3, 8, 1)[:, 0]
    assert faithfulness.correlation(values, -(values.abs() ** 3)).tolist() == pytest.approx([1, 1, 1])
    assert faithfulness.correlation(values, 1 / values).tolist() == pytest.approx([-1, -1, -1])
    assert faithfulness.correlation(values, torch.ones(3, 8, 8)).tolist() == [0, 0, 0]


def changed(network: nn.Module, other: nn.Module) -> set[str]:
    mine = network.state_dict()
    return {name.partition(".")[0] for name, value in other.state_dict().items() if not torch.equal(value, mine[name])}


def test_weights_become_random_from_the_head_down() -> None:
    net = network("resnet20", 32)
    before = digest(net.state_dict())
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    parts = ["classifier", "stage3", "stage2", "stage1", "stem"]
    cascade = [changed(net, each) for _, each in faithfulness.cascading(net, 3)]
    assert cascade == [set(parts[: number + 1]) for number in range(5)]
    alone = [changed(net, each) for _, each in faithfulness.independent(net, 3)]
    assert alone == [{each} for each in parts]
    assert digest(net.state_dict()) == before
    assert torch.equal(torch.rand(1), expected)
    first, second, other = (digest(faithfulness.reset(net, seed).state_dict()) for seed in (3, 3, 4))
    assert first == second != other


def test_random_weights_change_gradcam() -> None:
    subject, inputs, targets = subject_of(network("resnet20", 32), 32), images(2, 32), torch.tensor([3, 7])

    def maps(net: nn.Module) -> Tensor:
        with undisturbed(net):
            return Gradcam("gradcam").maps(subject_of(net, 32), inputs, targets).values

    mine = maps(subject.network)
    assert faithfulness.correlation(mine, maps(subject.network)).tolist() == pytest.approx([1, 1])
    *_, (_, random) = faithfulness.cascading(subject.network, 0)
    assert np.abs(faithfulness.correlation(mine, maps(random))).max() < 0.9


def test_digits_are_where_the_boxes_say() -> None:
    found = load_digits()
    digits = np.rint(found.images * (255 / 16)).astype(np.uint8)
    made = canvases.pasted(digits, found.target, np.random.default_rng(0), 20, 32, 12, each=2)
    assert made.images.shape == (20, 32, 32) and made.labels.shape == (20, 2) and made.boxes.shape == (20, 2, 4)
    for image, labels, boxes in zip(made.images, made.labels, made.boxes, strict=True):
        assert labels[0] != labels[1]
        inside = np.zeros((2, 32, 32), bool)
        for number, (top, left, bottom, right) in enumerate(boxes):
            assert (bottom - top, right - left) == (12, 12) and min(top, left) >= 0 and max(bottom, right) <= 32
            inside[number, top:bottom, left:right] = True
            large = np.stack([canvases._large(each, 12) for each in digits[found.target == labels[number]]])
            seen = image[top:bottom, left:right]
            assert ((seen >= np.floor(large)).all((1, 2))).any()  # one of its class, and what is lighter
        assert not (inside[0] & inside[1]).any()
    again = canvases.pasted(digits, found.target, np.random.default_rng(0), 20, 32, 12, each=2)
    np.testing.assert_array_equal(made.images, again.images)


def test_digits_without_room_are_refused() -> None:
    found = load_digits()
    with pytest.raises(ValueError, match="have no room on 16"):
        canvases.pasted(found.images.astype(np.uint8), found.target, np.random.default_rng(0), 1, 16, 12, each=2)

"""What the checks look at, on networks and numbers whose answer is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

from cnntrain.models import registry
from cnntrain.study.anatomy.layers import measure
from cnntrain.study.diagnosis.architecture import shortest
from cnntrain.study.diagnosis.gradients import gradients
from cnntrain.study.diagnosis.images import neighbours
from cnntrain.study.diagnosis.outputs import LARGE, behind, last_activation
from cnntrain.study.diagnosis.subject import Fitted, Sample, accuracy
from cnntrain.study.diagnosis.units import watched


@pytest.mark.parametrize(
    ("last", "found"),
    [
        (nn.Identity(), None), (nn.Softmax(1), "softmax"), (nn.LogSoftmax(1), "log-softmax"), (nn.Sigmoid(), "sigmoid"),
        (nn.Tanh(), "tanh"), (nn.ReLU(), "ReLU"), (nn.LeakyReLU(), None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_what_stands_behind_a_classifier_is_told(last: nn.Module, found: str | None, scale: float) -> None:
    logits = scale * torch.randn(64, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert behind(last(logits), last(LARGE * logits)) == found


class Ending(nn.Module):
    """A convolution, and a classifier with a ReLU behind it: on each place of a map of so many pixels a side."""

    def __init__(self, side: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(side))
        self.classifier = nn.Conv2d(8, 7, 1)

    def get_classifier(self) -> nn.Module:
        return self.classifier

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.body(x)).relu().mean((2, 3))


@pytest.mark.parametrize(("side", "status"), [(1, "suspicious"), (4, "ok")])
def test_a_relu_on_logits_is_named_and_one_on_maps_of_classes_is_the_nets_own(side: int, status: str) -> None:
    sample = Sample(torch.randn(32, 3, 12, 12, generator=torch.Generator().manual_seed(1)), torch.arange(32) % 7)
    subject: Any = SimpleNamespace(train=sample, fresh=lambda: Ending(side))
    found = last_activation(subject)
    assert (found.status, found.numbers["found"]) == (status, "ReLU")


@pytest.mark.parametrize(("small", "status"), [(2, "ok"), (0, "wrong")])
def test_gradients_explode_before_the_last_layer(small: int, status: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 7))
    assert isinstance(net[small], nn.Linear)
    with torch.no_grad():
        net[small].weight.mul_(0.001)
    sample = Sample(10 * torch.randn(32, 64, generator=torch.Generator().manual_seed(1)), torch.arange(32) % 7)
    subject: Any = SimpleNamespace(
        train=sample,
        fresh=lambda: net,
        scan=SimpleNamespace(network=net),
        loss=lambda network, images, labels: nn.functional.cross_entropy(network(images), labels),
    )
    found = gradients(subject)
    assert max(found.numbers["before"].values()) > 10 and found.status == status


def test_the_shortest_way_counts_what_no_shortcut_passes() -> None:
    registry.register()
    with torch.device("meta"):
        nets = {name: timm.create_model(name, num_classes=10) for name in ("plain20", "resnet20", "vgg11")}
    found = {name: shortest(measure(net, (3, 32, 32))[0]) for name, net in nets.items()}
    assert found == {"plain20": 20, "resnet20": 2, "vgg11": 11}


def test_neighbours_are_scikit_learns() -> None:
    draws = torch.Generator().manual_seed(1)
    labels = torch.arange(90) % 3
    images = torch.randn(90, 1, 16, 16, generator=draws) + labels[:, None, None, None] * 0.3
    found, by_chance, deviations = neighbours(Sample(images, labels))
    flat, right = images.flatten(1).numpy(), 0
    for row in range(90):
        others = [each for each in range(90) if each != row]
        judge = KNeighborsClassifier(1).fit(flat[others], labels.numpy()[others])
        right += int(judge.predict(flat[[row]])[0] == labels[row])
    assert found == pytest.approx(right / 90) and deviations > 2.5
    assert by_chance == pytest.approx(1 / 3, abs=0.05)
    assert abs(neighbours(Sample(images, labels[torch.randperm(90, generator=draws)]))[2]) < 4


class Functional(nn.Module):
    """Of its four features one is dead, one saturated; no module is an activation."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        nn.init.eye_(self.inner.weight)
        self.inner.bias.data = torch.tensor([-100.0, 0.0, 0.0, 100.0])

    def forward(self, x: Tensor) -> Tensor:
        before = self.inner(x)
        return torch.relu(before) + torch.sigmoid(before)


def test_dead_and_saturated_units_are_seen_of_functions_too() -> None:
    sample = Sample(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(50, dtype=torch.int64))
    assert watched(Functional(), sample) == [("relu", "dead", 0.25), ("sigmoid", "saturated", 0.5)]
    assert watched(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), sample) == [("1", "saturated", 0.0)]


def test_batches_go_round_and_a_trial_that_diverged_has_reached_nothing() -> None:
    sample = Sample(torch.arange(10.0)[:, None], torch.arange(10))
    batches = sample.batches(5, 4)
    assert [len(each) for each in batches] == [4] * 5 and len(sample.batches(2, 64)[0]) == 10
    seen = torch.cat([each.labels for each in batches[:2]])
    assert len(set(seen.tolist())) == 8  # none twice in a pass
    assert all(torch.equal(each.images[:, 0].long(), each.labels) for each in batches)
    shuffled = sample.shuffled()
    assert sorted(shuffled.labels.tolist()) == list(range(10)) and shuffled.labels.tolist() != list(range(10))
    assert Fitted(nn.Identity(), [3.0, 2.0, 1.0, 0.5]).reached == 0.5
    assert Fitted(nn.Identity(), [3.0, float("nan")]).reached == float("inf")
    assert accuracy(nn.Flatten(), Sample(torch.eye(3)[:, :, None], torch.tensor([0, 1, 1]))) == pytest.approx(2 / 3)

"""The methods that captum has, too, on two real architectures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from captum import attr
from looking import images, network, subject_of
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cnntrain.models import layers
from cnntrain.study.explain import gradients
from cnntrain.study.explain.hooks import undisturbed
from cnntrain.study.explain.methods.deconvnet import Deconvnet
from cnntrain.study.explain.methods.gradcam import Gradcam
from cnntrain.study.explain.methods.guided_backprop import GuidedBackprop
from cnntrain.study.explain.methods.occlusion import Occlusion
from cnntrain.study.explain.methods.saliency import Saliency
from cnntrain.study.explain.subject import Subject

TARGETS = torch.tensor([3, 7])
NETS = {"tf_efficientnet_lite0": 64, "resnet20": 32}
Case = tuple[Subject, Tensor]


@pytest.fixture(scope="module", params=NETS)
def case(request: pytest.FixtureRequest) -> Case:
    size = NETS[request.param]
    return subject_of(network(request.param, size), size), images(2, size)


@pytest.fixture(autouse=True)
def looking(case: Case) -> Iterator[None]:
    with undisturbed(case[0].network):
        yield


def same(ours: Tensor, theirs: Tensor) -> None:
    """To 1e-5 of the greatest value, which is what float32 gives in another order of sums."""
    expected = theirs.detach()
    assert expected.abs().max() > 0
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_gradcam(case: Case) -> None:
    subject, inputs = case
    layer = layers.named(subject.network, subject.at)
    small = attr.LayerGradCam(subject.network, layer).attribute(inputs, TARGETS, relu_attributions=True)
    theirs = interpolate(small, inputs.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    same(Gradcam("gradcam").maps(subject, inputs, TARGETS).values, theirs)


def test_saliency(case: Case) -> None:
    subject, inputs = case
    theirs = attr.Saliency(subject.network).attribute(inputs.clone().requires_grad_(), TARGETS, abs=True)
    same(Saliency("saliency").maps(subject, inputs, TARGETS).values, theirs.amax(1))


def test_integrated_gradients(case: Case) -> None:
    subject, inputs = case
    theirs = attr.IntegratedGradients(subject.network).attribute(inputs, target=TARGETS, n_steps=4)
    found = gradients.integrated(subject, inputs, TARGETS, 4)
    same(found.values, theirs.float())


def test_occlusion(case: Case) -> None:
    subject, inputs = case
    theirs = attr.Occlusion(subject.network).attribute(inputs, (3, 20, 20), strides=(3, 15, 15), target=TARGETS)
    same(Occlusion("occlusion", 20, 15).maps(subject, inputs, TARGETS).values, theirs[:, 0])


class Plain(nn.Module):
    """ReLU as modules, each used once, as captum wants them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(),
            nn.Linear(8 * 5 * 5, 16), nn.ReLU(), nn.Linear(16, 10),
        )  # fmt: skip

    def forward(self, inputs: Tensor) -> Tensor:
        return self.body(inputs)


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU activations")
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(GuidedBackprop("guided_backprop"), attr.GuidedBackprop), (Deconvnet("deconvnet"), attr.Deconvolution)],
)
def test_other_ways_back(ours: Any, theirs: Callable[[nn.Module], Any]) -> None:
    net, inputs = Plain().eval(), images(2, 16)
    expected = theirs(net).attribute(inputs.clone().requires_grad_(), target=TARGETS)
    subject = subject_of(net, 16)
    with undisturbed(subject.network):
        same(ours.maps(subject, inputs, TARGETS).values, expected.abs().amax(1))

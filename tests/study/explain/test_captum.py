"""The methods that captum has, too, on two real architectures, on signals, volumes and masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
from captum import attr
from looking import images, network, noise, subject_of
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
from cnntrain.tasks.segment.score import PixelScore

TARGETS = torch.tensor([3, 7])
NETS = {"tf_efficientnet_lite0": 64, "resnet20": 32}
SIGNALS, VOLUMES, MASKS = "resnet1d", "resnet3d", "fcn"
MODES = {3: "linear", 4: "bilinear", 5: "trilinear"}


class Case(NamedTuple):
    """Attributes:
    subject: what our methods are given.
    forward: what captum is given, of inputs a row of scores.
    window, stride: of occlusion, ours, and captum's along each side.
    """

    subject: Subject
    forward: Callable[[Tensor], Tensor]
    inputs: Tensor
    targets: Tensor
    window: int
    stride: int
    windows: tuple[int, ...]
    strides: tuple[int, ...]


def of_images(name: str) -> Case:
    size = NETS[name]
    net = network(name, size)
    return Case(subject_of(net, size), net, images(2, size), TARGETS, 20, 15, (20, 20), (15, 15))


def of_signals() -> Case:
    net, inputs = network(SIGNALS, 40, 2, widths=[8, 16, 16]), noise(2, 2, 40)
    return Case(subject_of(net, 40, 2, sides=[40]), net, inputs, TARGETS, 7, 4, (7,), (4,))


def of_volumes() -> Case:
    """Of whose 8 frames a window of 4 of 16 pixels hides 2, and goes on by 1."""
    net, inputs = network(VOLUMES, 16, width=4), noise(2, 3, 8, 16, 16)
    return Case(subject_of(net, 16, sides=[8, 16, 16]), net, inputs, TARGETS, 4, 2, (2, 4, 4), (1, 2, 2))


def of_masks() -> Case:
    """The logits of each class are summed over the pixels that it had in the images as they are; of a class with many
    and of one with few."""
    net, inputs = network(MASKS, 32, 3, 4, backbone="resnet20"), images(2, 32)
    with torch.no_grad():
        outputs = net(inputs)
    numbers = outputs.argmax(1)
    counts = torch.stack([(numbers == each).sum((1, 2)) for each in range(4)], 1)
    targets = torch.stack([counts[0].argmax(), torch.where(counts[1] > 0, counts[1], 10**6).argmin()])
    assert (counts[1] > 0).sum() > 1, "the second image has several classes"

    def forward(seen: Tensor) -> Tensor:
        logits = net(seen)
        given = numbers.repeat(len(seen) // len(numbers), 1, 1)  # captum computes several steps at once
        return torch.stack([(logits[:, each] * (given == each)).sum((1, 2)) for each in range(4)], 1)

    subject = subject_of(net, 32, classes=4, scoring=PixelScore).asked(outputs)
    return Case(subject, forward, inputs, targets, 12, 8, (12, 12), (8, 8))


@pytest.fixture(scope="module", params=[*NETS, SIGNALS, VOLUMES, MASKS])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    made = {SIGNALS: of_signals, VOLUMES: of_volumes, MASKS: of_masks}
    found = made[request.param]() if request.param in made else of_images(request.param)
    with undisturbed(found.subject.network):
        yield found


def same(ours: Tensor, theirs: Tensor) -> None:
    """To 1e-5 of the greatest value, which is what float32 gives in another order of sums."""
    expected = theirs.detach()
    assert expected.abs().max() > 0
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_gradcam(case: Case) -> None:
    subject, inputs = case.subject, case.inputs
    layer = layers.named(subject.network, subject.at)
    small = attr.LayerGradCam(case.forward, layer).attribute(inputs, case.targets, relu_attributions=True)
    theirs = interpolate(small, inputs.shape[2:], mode=MODES[inputs.ndim], align_corners=False)[:, 0]
    same(Gradcam("gradcam").maps(subject, inputs, case.targets).values, theirs)


def test_saliency(case: Case) -> None:
    theirs = attr.Saliency(case.forward).attribute(case.inputs.clone().requires_grad_(), case.targets, abs=True)
    same(Saliency("saliency").maps(case.subject, case.inputs, case.targets).values, theirs.amax(1))


def test_integrated_gradients(case: Case) -> None:
    theirs = attr.IntegratedGradients(case.forward).attribute(case.inputs, target=case.targets, n_steps=4)
    found = gradients.integrated(case.subject, case.inputs, case.targets, 4)
    same(found.values, theirs.float())


def test_occlusion(case: Case) -> None:
    channels = case.inputs.shape[1]
    theirs = attr.Occlusion(case.forward).attribute(
        case.inputs, (channels, *case.windows), strides=(channels, *case.strides), target=case.targets
    )
    found = Occlusion("occlusion", case.window, case.stride).maps(case.subject, case.inputs, case.targets)
    same(found.values, theirs[:, 0])
    assert found.facts is not None and found.facts[0]["window"] in (case.window, [*case.windows])


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

"""What the methods say by their own definitions, and that a network is as it was after them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from looking import images, network, subject_of
from torch import Tensor, nn
from torch.nn import functional as F

from cnntrain.config.methods import method
from cnntrain.core.digest import digest
from cnntrain.core.errors import InputError, RunError
from cnntrain.models.bagnet import BagNet
from cnntrain.study.explain import evidence, gradients
from cnntrain.study.explain.base import Attribution, Maps
from cnntrain.study.explain.hooks import recorded, undisturbed
from cnntrain.study.explain.subject import Subject

TARGETS = torch.tensor([3, 7])
ALL = (
    "gradcam", "gradcam++", "layercam", "eigencam", "saliency", "smoothgrad", "integrated_gradients", "guided_backprop",
    "deconvnet", "occlusion",
)  # fmt: skip
CHEAP = {"smoothgrad": {"samples": 2}, "integrated_gradients": {"steps": 2}, "occlusion": {"window": 16, "stride": 16}}
FEW = ("lenet5", "resnet20", "tf_efficientnet_lite0")
FAMILIES = (
    "lenet5", "lenet5_1998", "alexnet", "zfnet", "vgg11", "nin_cifar", "googlenet", "bn_inception", "inception_v3",
    "resnet18", "resnet20", "resnetv2_18", "resnext50_32x4d", "seresnet18", "densenet40", "fractalnet", "highway19",
    "tv_squeezenet", "tv_shufflenet_v2", "mobilenetv2_100", "efficientnet_b0", "tf_efficientnet_lite0", "bagnet9",
    "nasnetamobile", "legacy_xception", "neocognitron",
)  # fmt: skip
SIZES = {"lenet5": 32, "lenet5_1998": 32, "resnet20": 32, "nin_cifar": 32, "densenet40": 32, "fractalnet": 32}
LARGE = {
    "alexnet": 227,
    "zfnet": 224,
    "googlenet": 128,
    "inception_v3": 139,
    "bn_inception": 128,
    "legacy_xception": 128,
}


@cache
def chosen(name: str) -> Attribution:
    found = method(name, CHEAP.get(name, {}))
    assert isinstance(found, Attribution)
    return found


def maps(name: str, subject: Subject, inputs: Tensor) -> Maps:
    with undisturbed(subject.network):
        return chosen(name).maps(subject, inputs, TARGETS)


@pytest.fixture(scope="module")
def residual() -> Subject:
    return subject_of(network("resnet20", 32), 32)


def runs_on(name: str) -> None:
    size = SIZES.get(name, LARGE.get(name, 64))
    channels = 1 if name in ("lenet5", "lenet5_1998", "neocognitron") else 3
    subject, inputs = subject_of(network(name, size, channels), size, channels), images(2, size, channels)
    for each in ALL:
        found = maps(each, subject, inputs).values
        assert found.shape == (2, size, size), each
        assert torch.isfinite(found).all(), each


@pytest.mark.parametrize("name", FEW)
def test_every_method_runs_on(name: str) -> None:
    runs_on(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [each for each in FAMILIES if each not in FEW])
def test_every_method_runs_on_all_families(name: str) -> None:
    runs_on(name)


def state(net: nn.Module) -> list[object]:
    hooks = [len(each._forward_hooks) + len(each._backward_hooks) for each in net.modules()]
    flags = [(each.requires_grad, None if each.grad is None else digest(each.grad)) for each in net.parameters()]
    modes = [(each.training, getattr(each, "inplace", None)) for each in net.modules()]
    return [digest(net.state_dict()), hooks, flags, modes]


@cache
def half_frozen() -> nn.Module:
    """In training, a part of it frozen, with gradients of a step before."""
    net = network("resnet20", 32).train()
    F.cross_entropy(net(images(2, 32)), TARGETS).backward()
    next(net.parameters()).requires_grad_(False)
    next(net.children()).eval()
    return net


@pytest.mark.parametrize("name", ALL)
def test_a_network_is_as_before(name: str) -> None:
    net = half_frozen()
    before, inputs = state(net), images(2, 32)
    with torch.inference_mode():
        maps(name, subject_of(net, 32), inputs)
    assert state(net) == before


def test_a_network_is_as_before_a_failure() -> None:
    net = half_frozen()
    before, subject = state(net), subject_of(net, 32)
    broken = replace(subject, layer="classifier")
    with pytest.raises(InputError, match="gives \\[10\\] an image and no maps"):
        maps("gradcam", broken, images(2, 32))
    assert state(net) == before


def reference_of(subject: Subject, inputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Activations and gradients at the last stage, whose logits follow from pooling and a linear layer alone."""
    net = subject.network
    with torch.no_grad():
        activations = net.forward_features(inputs)
    weight = net.classifier.weight[TARGETS].detach().numpy()
    area = activations.shape[2] * activations.shape[3]
    gradient = np.broadcast_to(weight[:, :, None, None] / area, activations.shape)
    return activations.double().numpy(), gradient.astype(np.float64)


def resized(small: np.ndarray) -> Tensor:
    return F.interpolate(torch.from_numpy(small)[:, None], (32, 32), mode="bilinear", align_corners=False)[:, 0].float()


def test_gradcam_is_cam_where_a_linear_layer_follows_the_mean(residual: Subject) -> None:
    activations, gradient = reference_of(residual, images(2, 32))
    cam = np.einsum("nchw,nc->nhw", activations, gradient[:, :, 0, 0]).clip(0)  # Zhou et al. 2016
    torch.testing.assert_close(maps("gradcam", residual, images(2, 32)).values, resized(cam), rtol=1e-4, atol=1e-6)


def test_gradcam_plus_plus_follows_equation_19(residual: Subject) -> None:
    activations, gradient = reference_of(residual, images(2, 32))
    small = np.zeros((2, 8, 8))
    for image in range(2):
        for channel in range(activations.shape[1]):
            a, g = activations[image, channel], gradient[image, channel]
            alpha = g**2 / (2 * g**2 + a.sum() * g**3)
            small[image] += (alpha * g.clip(0)).sum() * a
    found = maps("gradcam++", residual, images(2, 32)).values
    torch.testing.assert_close(found, resized(small.clip(0)), rtol=1e-4, atol=1e-5)


def test_layercam_weighs_each_position(residual: Subject) -> None:
    activations, gradient = reference_of(residual, images(2, 32))
    expected = resized((gradient.clip(0) * activations).sum(1).clip(0))
    torch.testing.assert_close(maps("layercam", residual, images(2, 32)).values, expected, rtol=1e-4, atol=1e-6)


def test_eigencam_is_the_first_component(residual: Subject) -> None:
    activations, _ = reference_of(residual, images(2, 32))
    small = []
    for each in activations:
        rows = each.reshape(len(each), -1).T
        values, vectors = np.linalg.eigh(rows.T @ rows)
        assert values[-1] > values[-2]
        projected = rows @ vectors[:, -1]
        small.append((projected * np.sign(projected.sum())).clip(0).reshape(8, 8))
    found = maps("eigencam", residual, images(2, 32)).values
    torch.testing.assert_close(found, resized(np.stack(small)), rtol=1e-4, atol=1e-4)


def test_smoothgrad_is_of_seed_and_image_alone(residual: Subject) -> None:
    inputs = images(2, 32)
    both = maps("smoothgrad", residual, inputs).values
    with undisturbed(residual.network):
        alone = chosen("smoothgrad").maps(residual, inputs[1:], TARGETS[1:]).values
    torch.testing.assert_close(both[1:], alone, rtol=1e-4, atol=1e-7)
    assert not torch.allclose(both, maps("smoothgrad", replace(residual, seed=1), inputs).values, rtol=1e-2)


def test_more_steps_complete_integrated_gradients(residual: Subject) -> None:
    errors = []
    for steps in (2, 30):
        with undisturbed(residual.network):
            found = method("integrated_gradients", {"steps": steps})
            assert isinstance(found, Attribution)
            explained = found.maps(residual, images(2, 32), TARGETS)
        assert explained.facts is not None
        errors.append(max(each["completeness_error"] for each in explained.facts))
        for values, each in zip(explained.values, explained.facts, strict=True):
            rest = float(values.double().sum()) - (each["logit"] - each["baseline_logit"])
            assert abs(rest) == pytest.approx(each["completeness_error"], abs=1e-4)
    assert errors[1] < 0.02 < errors[0]


class InPlace(nn.Module):
    """Overwrites what its layer gives, and what it is given."""

    def __init__(self, in_place: bool):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head, self.in_place = nn.Conv2d(3, 8, 3), nn.Linear(8, 10), in_place

    def forward(self, inputs: Tensor) -> Tensor:
        inputs = inputs.mul_(2) if self.in_place else inputs * 2
        found = self.conv(inputs)
        found = found.add_(1).relu_() if self.in_place else (found + 1).relu()
        return self.head(found.mean((2, 3)))


@pytest.mark.parametrize("name", ALL)
def test_what_a_network_overwrites_counts_as_it_was(name: str) -> None:
    first, second = (
        maps(name, subject_of(InPlace(in_place), 16, layer="conv"), images(2, 16)).values for in_place in (True, False)
    )
    assert second.abs().max() > 0
    torch.testing.assert_close(first, second, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["guided_backprop", "deconvnet"])
def test_a_network_without_rectifiers_is_told(name: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    subject = subject_of(net, 16)
    found = maps(name, subject, images(2, 16))
    assert found.notes == [f"{name}: the network has no ReLU or its kin, so that this is its plain gradient"]
    torch.testing.assert_close(found.values, maps("saliency", subject, images(2, 16)).values)


def bagnet(size: int = 29) -> Subject:
    torch.manual_seed(0)
    return subject_of(BagNet((True, True, False, False), width=4, num_classes=10).eval(), size)


def test_the_evidence_of_a_window_is_the_logit_of_the_window_alone() -> None:
    subject, inputs = bagnet(), images(2, 29)
    with undisturbed(subject.network):
        found = evidence.local(subject, inputs, TARGETS)
        assert (found.field, found.jump) == (9, 8)
        for row in range(found.local.shape[1]):
            for column in range(found.local.shape[2]):
                top, left = row * found.jump, column * found.jump
                alone = subject.logits(inputs[:, :, top : top + found.field, left : left + found.field])
                expected = gradients.chosen(alone, TARGETS).double()
                torch.testing.assert_close(found.local[:, row, column], expected, rtol=0, atol=1e-4)
    assert found.local.shape == (2, 3, 3)
    torch.testing.assert_close(found.means, found.logits, rtol=0, atol=1e-4)


def test_evidence_is_drawn_where_its_window_is() -> None:
    drawn = evidence.spread(torch.arange(9.0).view(1, 3, 3), (29, 29), field=9, jump=8)
    assert drawn.shape == (1, 29, 29)
    for row in range(3):
        for column in range(3):
            assert drawn[0, 4 + 8 * row, 4 + 8 * column] == 3 * row + column  # the middles of the windows


def test_evidence_that_is_not_the_logit_is_a_failure() -> None:
    subject = bagnet()
    subject.network.classifier.register_forward_hook(lambda module, given, output: output + 1)
    with undisturbed(subject.network), pytest.raises(RunError, match="misses the logit"):
        evidence.local(subject, images(2, 29), TARGETS)


def test_evidence_is_of_bagnets_alone(residual: Subject) -> None:
    with undisturbed(residual.network), pytest.raises(InputError, match="CifarResNet is no BagNet that averages"):
        evidence.local(residual, images(2, 32), TARGETS)


def test_the_last_stage_with_several_positions_is_looked_at() -> None:
    assert subject_of(network("resnet20", 32), 32).at == "stage3"
    assert subject_of(network("lenet5", 32, 1), 32, 1).at == "conv2"
    assert subject_of(InPlace(False), 16).at == "conv"


def test_a_wrong_layer_is_named_with_what_may_be_meant(residual: Subject) -> None:
    with pytest.raises(InputError, match="no such layer; did you mean 'stage3'"):
        replace(residual, layer="stage33")


def test_a_layer_that_is_not_computed_is_told() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    net.register_module("spare", nn.Conv2d(3, 3, 1))
    net.forward = lambda inputs: net[3](net[2](net[1](net[0](inputs))))  # type: ignore[method-assign]
    with pytest.raises(InputError, match="layer=spare: is not computed"):
        maps("gradcam", subject_of(net, 16, layer="spare"), images(2, 16))


def test_gradients_are_on_within_inference_and_off_again() -> None:
    net = network("lenet5", 32, 1)
    with torch.inference_mode(), undisturbed(net):
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        with recorded(net.conv1, "conv1") as kept:
            net(torch.zeros(1, 1, 32, 32))
        assert kept.value.requires_grad
    assert all(each.requires_grad for each in net.parameters())

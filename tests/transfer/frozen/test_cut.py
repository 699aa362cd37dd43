"""The two parts of a network against the whole: outputs, gradients and running statistics, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import timm
import torch
from composing import composed
from slow import slow_if
from torch import Tensor, nn
from torch.nn import functional as F

from cnntrain.commands.summary import Summary
from cnntrain.config.check import check
from cnntrain.config.model import Model
from cnntrain.models import registry
from cnntrain.study import catalog
from cnntrain.transfer.freeze_depth import FreezeDepth
from cnntrain.transfer.freezing import Freezing
from cnntrain.transfer.frozen.cut import EXAMPLES, Cut, _is_batch, _verify, cut_off
from cnntrain.transfer.frozen.trace import UncuttableError

# one of each family: arguments, image size
FAMILIES: dict[str, tuple[dict[str, Any], int]] = {
    "lenet5": ({"in_chans": 3}, 32),
    "alexnet": ({"img_size": 67, "hidden_size": 32, "drop_rate": 0.5}, 67),
    "vgg11_bn": ({"mlp_ratio": 1 / 32, "drop_rate": 0.5}, 32),
    "nin_cifar": ({}, 32),
    "googlenet": ({"aux_logits": True}, 64),
    "inception_v3": ({}, 96),
    "resnet18": ({"drop_rate": 0.3, "drop_path_rate": 0.2}, 32),
    "resnet20": ({}, 32),
    "resnetv2_18": ({}, 64),
    "wrn16_4": ({}, 32),
    "seresnet18": ({}, 32),
    "densenet121": ({"drop_rate": 0.2}, 32),
    "densenet40": ({}, 32),
    "mobilenetv2_100": ({"drop_path_rate": 0.2}, 32),
    "efficientnet_b0": ({"drop_path_rate": 0.2}, 32),
    "shufflenet_g3": ({}, 64),
    "tv_squeezenet": ({}, 64),
    "highway19": ({}, 32),
    "fractalnet": ({"filters": (4, 4, 8, 8, 8)}, 32),
    "bagnet9": ({}, 32),
}
MANY_LAYERS = {
    "bagnet9",
    "densenet121",
    "densenet40",
    "efficientnet_b0",
    "googlenet",
    "highway19",
    "inception_v3",
    "seresnet18",
    "shufflenet_g3",
}  # each takes seconds
CLASSES = 5


def policy(depth: int) -> FreezeDepth:
    return FreezeDepth("freeze_depth", 1.0, "off", "computed", "1GiB", None, None, depth)


def three_depths(model: nn.Module) -> list[int]:
    """The first group frozen, half of them, all but the classifier."""
    groups = len(Freezing(model, policy(0)).groups) - 1
    return sorted({1, groups // 2, groups} - {0})


def moving_statistics(model: nn.Module, images: Tensor) -> None:
    """BatchNorm's running statistics become the images', so that a thousand layers stay finite in evaluation mode."""
    norms = [each for each in model.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    before = [each.momentum for each in norms]
    for each in norms:
        each.momentum = 1.0
    with torch.no_grad():
        model.train()(images)
    for each, momentum in zip(norms, before, strict=True):
        each.momentum = momentum


def trained(freezing: Freezing, network: nn.Module, batch: Any) -> tuple[list[Tensor], dict[str, Tensor | None]]:
    """Outputs and gradients of a training step that draws from the same randomness each time."""
    freezing.train_mode()
    freezing.model.zero_grad()
    torch.manual_seed(3)
    outputs = network(batch)
    outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
    labels = torch.arange(len(outputs[0])) % outputs[0].shape[1]
    sum(F.cross_entropy(each, labels) for each in outputs).backward()
    return outputs, {name: parameter.grad for name, parameter in freezing.model.named_parameters()}


def check_equal(model: nn.Module, images: Tensor, depth: int) -> Cut | None:
    """Cut at a depth and hold the parts against the whole; returns what `cut_off` does."""
    other = deepcopy(model)
    whole, cut = Freezing(model, policy(depth)), Freezing(other, policy(depth))
    parts = cut_off(other, cut.train_mode, images[:EXAMPLES])
    if parts is None:
        return None
    suffix = parts.suffix(other)
    with torch.no_grad():
        activations = parts.prefix(images)
    assert [each.shape[1:] for each in activations] == parts.shapes
    assert [each.dtype for each in activations] == parts.dtypes
    expected, gradients = trained(whole, model, images)
    found, own = trained(cut, suffix, tuple(each.clone() for each in activations))
    assert all(bool(one.isfinite().all()) and torch.equal(one, two) for one, two in zip(expected, found, strict=True))
    for name, gradient in gradients.items():
        assert (gradient is None) == (own[name] is None), name
        assert gradient is None or torch.equal(gradient, own[name]), name
    state = other.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    with torch.no_grad():
        assert torch.equal(model.eval()(images), suffix.eval()(activations))
    return parts


@pytest.mark.no_cover
@pytest.mark.parametrize("name", slow_if(MANY_LAYERS, FAMILIES))
def test_the_parts_compute_what_the_whole_computes(name: str) -> None:
    registry.register()
    torch.manual_seed(0)
    kwargs, size = FAMILIES[name]
    model = timm.create_model(name, num_classes=CLASSES, **kwargs)
    images = torch.randn(4, 3, size, size)
    moving_statistics(model, images)
    for depth in three_depths(model):
        assert check_equal(deepcopy(model), images, depth) is not None, depth


@pytest.mark.slow
@pytest.mark.parametrize("entry", catalog.entries(), ids=lambda entry: entry.name)
def test_every_named_model_can_be_cut(
    entry: catalog.Entry, smallest: Callable[[Model], tuple[nn.Module, Tensor]]
) -> None:
    settings = composed([f"model={entry.name}"], "summary")
    model, images = smallest(check(settings, Summary).model)
    moving_statistics(model, images)
    for depth in three_depths(model):
        assert check_equal(deepcopy(model), images, depth) is not None, depth


@pytest.fixture
def smallest() -> Callable[[Model], tuple[nn.Module, Tensor]]:
    """A model of a YAML, and images of the smallest of a few sizes that it takes."""

    def make(settings: Model) -> tuple[nn.Module, Tensor]:
        for size in (32, 64, 96, 128, 224, 299):
            torch.manual_seed(0)
            try:
                model = settings.create(CLASSES, 3, size, pretrained=False)
                images = torch.randn(2, 3, size, size)
                with torch.no_grad():
                    model.eval()(images)
            except Exception:  # a size that the network does not take
                continue
            return model, images
        raise AssertionError(f"{settings.name} takes none of the sizes")

    return make


def cut_of(name: str, depth: int, size: int = 32, **kwargs: Any) -> Cut:
    registry.register()
    model = timm.create_model(name, num_classes=CLASSES, **kwargs)
    parts = cut_off(model, Freezing(model, policy(depth)).train_mode, torch.randn(EXAMPLES, 3, size, size))
    assert parts is not None
    return parts


@pytest.mark.no_cover
def test_the_cut_is_as_late_and_as_small_as_it_can_be() -> None:
    assert cut_of("resnet18", 5).shapes == [torch.Size([512])]  # pooled and flattened
    assert cut_of("resnet18", 4).shapes == [torch.Size([256, 2, 2])]  # block and shortcut are joined and rectified
    assert cut_of("densenet121", 3).shapes == [torch.Size([256, 2, 2])]  # not a second time as a concatenation of one
    assert cut_of("inception_v3", 6, 96).shapes == [torch.Size([768, 4, 4])]  # the pooling branch is computed again


def test_dropout_in_front_of_the_trained_part_is_not_fixed() -> None:
    model = timm.create_model("resnet18", num_classes=CLASSES, drop_rate=0.5)
    parts = cut_off(model, Freezing(model, policy(5)).train_mode, torch.randn(EXAMPLES, 3, 32, 32))
    assert parts is not None
    model.train()
    suffix, pooled = parts.suffix(model), (torch.ones(2, 512),)
    assert not torch.equal(suffix(pooled), suffix(pooled))
    suffix.eval()
    assert torch.equal(suffix(pooled), suffix(pooled))


def test_branches_that_start_in_the_frozen_part_are_all_cut() -> None:
    model = timm.create_model("densenet121", num_classes=CLASSES)
    frozen = {
        "features.denseblock1.",
        "features.denseblock2.",
        "features.transition",
        "features.conv0",
        "features.norm0",
    }
    frozen |= {f"features.denseblock3.denselayer{number}." for number in range(1, 5)}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(tuple(frozen)))

    def train_mode() -> None:
        model.train()
        for name, module in model.named_modules():
            if f"{name}.".startswith(tuple(frozen)):
                module.eval()

    parts = cut_off(model, train_mode, torch.randn(EXAMPLES, 3, 32, 32))
    assert parts is not None
    assert len(parts.names) == 5  # the transition's output and that of four layers


def test_nothing_frozen_is_nothing_to_cut() -> None:
    model = timm.create_model("resnet18", num_classes=CLASSES)
    assert cut_off(model, Freezing(model, policy(0)).train_mode, torch.randn(EXAMPLES, 3, 32, 32)) is None


class Branching(nn.Module):
    """Takes another way for each value, which no trace can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).mean((2, 3))
        return self.fc(x) if x.sum() > 0 else self.fc(-x)


class Drawing(Branching):
    """Draws in Python what a trace would keep for ever."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).mean((2, 3))
        return self.fc(x) * (1.0 if torch.rand(()).item() > 0.5 else 2.0)


class Overwriting(Branching):
    """Reads a value before and after it is overwritten in place by the frozen part."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).mean((2, 3))
        before = self.fc(x)
        return before + self.fc(torch.relu_(x))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Branching, "torch.fx cannot trace it"),
        (Drawing, "draws random numbers"),
        (Overwriting, "do not give what the whole gives"),
    ],
)
def test_what_cannot_be_cut_is_refused(kind: type[Branching], reason: str) -> None:
    torch.manual_seed(0)
    model = kind()
    model.conv.requires_grad_(False)
    with pytest.raises(UncuttableError, match=reason):
        cut_off(model, model.train, torch.randn(EXAMPLES, 3, 8, 8))


class Reading(nn.Module):
    """Frozen convolutions whose values the trained classifier reads in several places."""

    def __init__(self, read: Callable[[Reading, Tensor], Tensor]) -> None:
        super().__init__()
        self.read = read
        self.first, self.second, self.out = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, CLASSES, 1)
        self.scale = nn.Parameter(torch.full((4, 1, 1), 0.5), requires_grad=False)
        for each in (self.first, self.second):
            each.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self, self.first(x))

    def end(self, x: Tensor) -> Tensor:
        return self.out(x).mean((2, 3))


@pytest.mark.parametrize(
    ("read", "names"),
    [
        (lambda m, x: m.end(x) + m.end(torch.tanh(x)), ["first"]),  # the tangent is computed again
        (lambda m, x: m.end(x) + m.end(torch.tanh(x) + x), ["first", "add"]),  # not what reads something else too
        (lambda m, x: m.end(x) + m.end(m.second(x)), ["first", "second"]),  # nor what has weights
        (lambda m, x: m.end(x) + m.end(x * m.scale), ["first", "mul"]),
        (lambda m, x: m.end(m.second(x)), ["second"]),
        (lambda m, x: m.end(torch.relu_(x)) + m.end(x), ["first", "relu_"]),  # nor what changes what was read
        (lambda m, x: m.end(x.view(x.shape[0], 4, 4, -1)), ["view"]),
        (lambda m, x: m.end(x).view(x.shape[0], -1) * m.scale.sum(), ["first"]),  # sizes and weights are read again
    ],
)
def test_what_is_kept_is_what_is_read_but_for_what_costs_nothing(
    read: Callable[[Reading, Tensor], Tensor], names: list[str]
) -> None:
    torch.manual_seed(0)
    model, images = Reading(read), torch.randn(EXAMPLES, 3, 6, 6)
    parts = cut_off(model, model.train, images)
    assert parts is not None
    assert [name.removesuffix("_1") for name in parts.names] == names
    kept = parts.prefix(images)
    assert [(each.shape[1:], each.dtype) for each in kept] == list(zip(parts.shapes, parts.dtypes, strict=True))
    suffix = parts.suffix(model)
    torch.testing.assert_close(suffix(kept), model(images))
    assert suffix.train() is suffix and model.training
    suffix.eval()
    assert not model.training
    assert parts.state().keys() <= {"first.weight", "first.bias", "second.weight", "second.bias", "scale"}
    assert {name for name, _ in suffix.named_parameters()} >= {"train_graph.out.weight"}


def test_parts_that_compute_something_else_are_told_from_the_whole_wherever_it_is() -> None:
    whole = (torch.ones(2), {"more": [torch.ones(3), None]})
    _verify(whole, (torch.ones(2), {"more": [torch.ones(3), None]}))
    for other in ((torch.zeros(2), {"more": [torch.ones(3), None]}), (torch.ones(2), {"more": [torch.zeros(3), None]})):
        with pytest.raises(UncuttableError, match="its parts do not give what the whole gives"):
            _verify(whole, other)


def test_a_value_is_a_batch_where_it_has_a_row_for_each_image() -> None:
    images = torch.zeros(2, 3, 4, 4)
    assert _is_batch(torch.zeros(2), images) and _is_batch(torch.zeros(2, 5), images)
    assert not _is_batch(torch.zeros(3), images) and not _is_batch(torch.tensor(2.0), images)


def test_a_moving_average_has_the_same_suffix() -> None:
    model = timm.create_model("resnet18", num_classes=CLASSES)
    freezing = Freezing(model, policy(5))
    images = torch.randn(EXAMPLES, 3, 32, 32)
    parts = cut_off(model, freezing.train_mode, images)
    average = deepcopy(model)
    nn.init.normal_(average.get_classifier().weight)
    assert parts is not None
    with torch.no_grad():
        assert torch.equal(parts.suffix(average).eval()(parts.prefix(images)), average.eval()(images))


@pytest.mark.no_cover
def test_the_key_tells_what_is_computed_and_at_which_size() -> None:
    keys = {cut_of("resnet18", 5).key, cut_of("resnet18", 4).key, cut_of("resnet18", 5, 64).key}
    assert len(keys) == 3
    assert cut_of("resnet18", 5).key in keys

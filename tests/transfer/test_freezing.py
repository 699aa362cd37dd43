"""Frozen means frozen: over real training steps of real architectures, to the bit."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import timm
import torch
from composing import composed
from torch import nn

from cnntrain.config.check import check
from cnntrain.config.schema import TrainConfig
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.optim.adamw import AdamW
from cnntrain.optim.base import Optim
from cnntrain.optim.groups import parameter_groups
from cnntrain.optim.sgd import SGD
from cnntrain.transfer.base import Transfer
from cnntrain.transfer.freezing import Freezing, frozen_modules
from cnntrain.transfer.groups import HEAD, classifier_modules, classifier_parameters, coarse_groups

# name -> arguments, image size; small inputs, random weights
MODELS: dict[str, tuple[dict[str, Any], int]] = {
    "resnet18": ({"drop_rate": 0.5}, 32),
    "vgg11_bn": ({"drop_rate": 0.5, "mlp_ratio": 1 / 32}, 32),
    "densenet121": ({"drop_rate": 0.3}, 32),
    "mobilenetv2_100": ({"drop_rate": 0.2, "drop_path_rate": 0.2}, 32),
    "resnetv2_18": ({"drop_rate": 0.5}, 64),
}
SGDM = SGD("sgd", 0.05, 0.1, decay_norms_and_biases=True, norm_bias_lr_multiplier=1, momentum=0.9, nesterov=False)
DECAY = AdamW(
    "adamw", 0.01, 0.1, decay_norms_and_biases=True, norm_bias_lr_multiplier=1, beta1=0.9, beta2=0.99, eps=1e-8
)


@cache
def transfer(*overrides: str) -> Transfer:
    """A policy as the command line makes it."""
    return check(composed(overrides), TrainConfig).transfer


def policy(depth: int) -> Transfer:
    return transfer("transfer=freeze_depth", f"transfer.depth={depth}")


@cache
def initial(name: str) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=4, **MODELS[name][0])
    for module in model.modules():  # running statistics that training would move away from
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
    return model, {key: value.clone() for key, value in model.state_dict().items()}


def fresh(name: str) -> nn.Module:
    model, state = initial(name)
    model.load_state_dict(state)
    return model.requires_grad_(True).train()


def train(freezing: Freezing, optim: Optim, size: int, steps: int = 3) -> None:
    model = freezing.model
    optimizer = optim.build(parameter_groups(model, optim, freezing.policy.rate_multipliers(model, freezing.head)))
    generator = torch.Generator().manual_seed(1)
    for epoch in range(steps):
        model.eval()  # as after a validation
        freezing.apply(epoch)
        freezing.train_mode()
        images = torch.randn(4, 3, size, size, generator=generator)
        nn.functional.cross_entropy(model(images), torch.arange(4)).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def cases() -> list[tuple[str, int, Optim]]:
    depths = {
        "resnet18": (1, 3, -1),
        "vgg11_bn": (2, -2),
        "densenet121": (3,),
        "mobilenetv2_100": (4,),
        "resnetv2_18": (2, -1),
    }
    return [(name, depth, DECAY if depth < 0 else SGDM) for name in MODELS for depth in depths[name]]


@pytest.mark.parametrize(("name", "depth", "optim"), cases(), ids=lambda each: getattr(each, "name", None))
def test_after_three_steps_the_frozen_part_is_the_same_to_the_bit_and_the_rest_has_moved(
    name: str, depth: int, optim: Optim
) -> None:
    model, before = fresh(name), initial(name)[1]
    freezing = Freezing(model, policy(depth))
    train(freezing, optim, MODELS[name][1])
    states = policy(depth).frozen([group.name for group in freezing.groups], 0)
    frozen = {key for group, state in zip(freezing.groups, states, strict=True) if state for key in group.parameters}
    assert frozen == set(freezing.frozen_parameters())
    assert frozen
    after = model.state_dict()
    for key, parameter in model.named_parameters():
        assert torch.equal(after[key], before[key]) == (key in frozen), key
        assert parameter.requires_grad == (key not in frozen)
    prefixes = {key.rpartition(".")[0] for key in frozen}
    for key, _ in model.named_buffers():
        norm_is_frozen = key.rpartition(".")[0] in prefixes
        assert torch.equal(after[key], before[key]) == norm_is_frozen, key
        assert (key in freezing.frozen_buffers()) == norm_is_frozen


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_is_claimed_once_and_the_head_is_the_classifier(name: str) -> None:
    model = fresh(name)
    groups = coarse_groups(model)
    claimed = [key for group in groups for key in group.parameters]
    assert sorted(claimed) == sorted(key for key, _ in model.named_parameters())
    head = {id(parameter) for parameter in model.get_classifier().parameters()}
    by_name = dict(model.named_parameters())
    assert groups[-1].name == HEAD
    assert {id(by_name[key]) for key in groups[-1].parameters} == head
    assert len({group.name for group in groups}) == len(groups)


@pytest.mark.parametrize("name", MODELS)
def test_a_linear_probe_trains_the_classifier_only(name: str) -> None:
    model, before = fresh(name), initial(name)[1]
    freezing = Freezing(model, transfer("transfer=linear_probe"))
    train(freezing, SGDM, MODELS[name][1], steps=1)
    head = classifier_parameters(model)
    assert freezing.head == head
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == head


def test_a_full_policy_freezes_nothing() -> None:
    model = fresh("resnet18")
    freezing = Freezing(model, transfer("transfer=full"))
    freezing.train_mode()
    assert not freezing.names
    assert not freezing.frozen_parameters()
    assert not freezing.frozen_buffers()
    assert all(module.training for module in model.modules())
    assert not freezing.policy.wants_pretrained
    assert policy(1).wants_pretrained


def test_dropout_is_off_in_the_frozen_part_and_on_before_the_head() -> None:
    vgg = fresh("vgg11_bn")
    Freezing(vgg, transfer("transfer=linear_probe")).train_mode()
    assert not vgg.pre_logits.drop.training
    assert vgg.head.drop.training
    assert vgg.training
    densenet = fresh("densenet121")
    Freezing(densenet, policy(2)).train_mode()
    layers = {name: module for name, module in densenet.named_modules() if name.endswith("denselayer1")}
    assert not layers["features.denseblock1.denselayer1"].training  # its dropout is a function that reads this
    assert layers["features.denseblock4.denselayer1"].training
    mobilenet = fresh("mobilenetv2_100")
    Freezing(mobilenet, policy(4)).train_mode()
    paths = {name: module.training for name, module in mobilenet.named_modules() if type(module).__name__ == "DropPath"}
    assert any(paths.values())
    assert not all(paths.values())


@pytest.mark.parametrize("name", ["vgg11_bn", "densenet121", "mobilenetv2_100"])
def test_the_frozen_features_of_an_image_are_always_the_same(name: str) -> None:
    model = fresh(name)
    Freezing(model, transfer("transfer=linear_probe")).train_mode()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.forward_features(images), model.forward_features(images))
        assert not torch.equal(model(images), model(images))  # dropout before the classifier


def test_thawing_leaves_no_trace() -> None:
    model = fresh("resnet18")
    freezing = Freezing(model, transfer("transfer=linear_probe"))
    freezing.train_mode()
    freezing.policy = transfer("transfer=full")
    freezing.apply(1)
    freezing.train_mode()
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("depth", range(-5, 6))
def test_depth_counts_groups_from_the_stem_or_from_the_end(depth: int) -> None:
    names = ["stem", "a", "b", "c", "d", HEAD]
    count = depth if depth >= 0 else 5 + depth
    assert policy(depth).frozen(names, 0) == [True] * count + [False] * (6 - count)


@pytest.mark.parametrize("depth", [6, -6, 99])
def test_a_depth_out_of_range_names_the_groups(depth: int) -> None:
    with pytest.raises(ConfigError) as caught:
        policy(depth).frozen(["stem", "a", "b", "c", "d", HEAD], 0)
    assert str(caught.value) == (
        f"transfer.depth={depth}: this model has 5 groups before its head, so depth goes from -5 to 5; "
        "from the stem on they are stem, a, b, c, d"
    )


def test_group_names_are_those_of_the_modules() -> None:
    names = [group.name for group in coarse_groups(fresh("resnet18"))]
    assert names == ["conv1..bn1", "layer1", "layer2", "layer3", "layer4", HEAD]
    names = [group.name for group in coarse_groups(fresh("densenet121"))]
    assert names[:2] == ["features.conv0..features.norm0", "features.denseblock1..features.transition1"]
    assert names[-3:] == ["features.denseblock4", "features.norm5", HEAD]
    names = [group.name for group in coarse_groups(fresh("mobilenetv2_100"))]
    assert names == ["conv_stem..bn1", *(f"blocks.{n}" for n in range(6)), "blocks.6..bn2", HEAD]


def test_a_model_without_a_classifier_is_refused() -> None:
    with pytest.raises(InputError, match="ResNet has no classifier with parameters"):
        coarse_groups(timm.create_model("resnet18", num_classes=0))


def test_parameters_that_timms_matcher_forgets_are_named() -> None:
    model = fresh("resnet18")
    model.group_matcher = lambda coarse: {"body": r"^(?!layer3)"}
    try:
        groups = coarse_groups(model)  # timm gives what no pattern matches a group of its own
    except InputError as error:
        assert "layer3" in str(error)  # noqa: PT017
    else:
        assert any("layer3" in group.name for group in groups)
    finally:
        del model.group_matcher


def test_a_classifier_of_several_modules() -> None:
    model = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=3)
    assert classifier_modules(model) == ["head", "head_dist"]
    assert classifier_parameters(model) == {"head.weight", "head.bias", "head_dist.weight", "head_dist.bias"}


class TwoBranches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.early = nn.ReLU()
        self.first = nn.Linear(2, 2)
        self.between = nn.Dropout()
        self.second = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(), nn.Linear(2, 2))
        self.before_head = nn.Dropout()
        self.head = nn.Linear(2, 2)


def test_modules_without_parameters_go_with_their_neighbours() -> None:
    model = TwoBranches()
    first = {"first.weight", "first.bias"}
    second = {"second.0.weight", "second.0.bias", "second.2.weight", "second.2.bias"}
    assert set(frozen_modules(model, set())) == set()
    assert set(frozen_modules(model, first)) == {"early", "first"}
    assert set(frozen_modules(model, first | second)) == {
        "early", "first", "between", "second", "second.0", "second.1", "second.2",
    }  # fmt: skip
    assert set(frozen_modules(model, {*first, "second.0.weight"})) == {"early", "first"}  # half a norm still trains


def test_the_head_multiplier_must_be_positive() -> None:
    with pytest.raises(ConfigError, match=r"^transfer\.head_lr_multiplier=0 must be a number above 0$"):
        transfer("transfer=full", "transfer.head_lr_multiplier=0")


@pytest.mark.parametrize("name", ["poolformer_s12", "rdnet_tiny"])
def test_a_model_without_a_group_matcher_is_grouped_by_its_children(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=3)
    groups = coarse_groups(model)
    found = [name.partition(".")[0] for group in groups for name in group.parameters]
    children = [child for child, module in model.named_children() if any(True for _ in module.parameters())]
    assert list(dict.fromkeys(found)) == children
    assert groups[-1].name == HEAD and len(groups) >= len(children)

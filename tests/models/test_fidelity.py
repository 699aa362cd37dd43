"""Every local model against its published figures and against timm's whole model protocol.

A new model is a new row in `ROWS` of one of tests/models/tables/*.py, a dict of the fields of `Case`;
`test_every_local_model_has_a_row` fails until it has one.
"""

import copy
import io
import runpy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from slow import slow_if
from timm.models import create_feature_extractor, group_modules, group_parameters
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cnntrain.models import registry

registry.register()


@dataclass(frozen=True)
class Case:
    """`params` exactly, `macs` (multiply-adds of convolutions and matrix products, one image) within 0.5%.

    `coarse` and `fine` count the parameter groups, the classifier's included. `deep` nets are only built and
    counted: their shallow relatives stand for them in the tests that run a net. Those tests take images of
    `side` pixels (None: the net's own) and add the arguments `small` to the net's. `rim` bounds the pixels that
    convolutions without padding take off. `maps`: the classifier is a convolution, pooled after it.
    """

    name: str
    params: int
    macs: int
    image: tuple[int, ...] = (3, 32, 32)
    classes: int = 10
    coarse: int = 5
    fine: int = 5
    kwargs: dict[str, Any] = field(default_factory=dict)
    deep: bool = False
    lr: float = 0.01
    side: int | None = None
    small: dict[str, Any] = field(default_factory=dict)
    rim: int = 4
    maps: bool = False

    def __str__(self) -> str:
        return "-".join([self.name, *map(str, self.kwargs.values())])

    def __hash__(self) -> int:
        return hash(str(self))

    @lru_cache(maxsize=1)  # noqa: B019  # the tests of a net follow each other
    def count_only(self) -> nn.Module:
        """The net as it is, without weights, for evaluation; no test may change it."""
        with torch.device("meta"):
            return timm.create_model(self.name, **self.kwargs).eval()

    @lru_cache(maxsize=1)  # noqa: B019
    def whole(self) -> nn.Module:
        """The net as the tests run it, for evaluation; no test may change it."""
        return self.build().eval()

    def copied(self) -> nn.Module:
        """The same net, for training and for changes."""
        return copy.deepcopy(self.whole()).train()

    def build(self, **kwargs: Any) -> nn.Module:
        """The net as the tests run it."""
        torch.manual_seed(0)
        return timm.create_model(self.name, **self.kwargs | self.small | kwargs)

    def images(self, count: int = 2, channels: int | None = None) -> torch.Tensor:
        sides = self.image[1:] if self.side is None else (*self.image[1:-2], self.side, self.side)
        return torch.randn(count, channels or self.image[0], *sides, generator=torch.Generator().manual_seed(1))


def cifar(name: str, depth: int, params: int, extra_macs: int = 0, **kwargs: Any) -> Case:
    """The stem, depth - 4 convolutions of one cost, two that halve the map at half of it, the classifier."""
    macs = 16 * 27 * 32**2 + (depth - 4) * 16 * 16 * 9 * 32**2 + 2 * 16 * 32 * 9 * 16**2 + 640 + extra_macs
    return Case(name, params, macs, fine=2 + (depth - 2) // 2, kwargs=kwargs, deep=depth > 20)


PROJECTIONS = 16 * 32 * 16**2 + 32 * 64 * 8**2  # of option B
CASES = [
    # 6 maps of 28x28 from 25 weights, 16 maps of 10x10 from 6 x 25, then 400-120-84-10
    Case("lenet5", 61_706, 416_520, image=(1, 32, 32), lr=0.1),
    cifar("resnet20", 20, 269_722),
    cifar("resnet20", 20, 272_474, PROJECTIONS, shortcut="B"),
    cifar("resnet20", 20, 283_962, PROJECTIONS + 3 * 16**2 * 32**2 + 4 * 16**2 * 32**2, shortcut="C"),
    cifar("resnet32", 32, 464_154),
    cifar("resnet44", 44, 658_586),
    cifar("resnet56", 56, 853_018),
    cifar("resnet110", 110, 1_727_962),
    cifar("resnet1202", 1202, 19_421_274),
    cifar("plain20", 20, 269_722),
    cifar("plain32", 32, 464_154),
    cifar("plain44", 44, 658_586),
    cifar("plain56", 56, 853_018),
    cifar("plain110", 110, 1_727_962),
]
TABLES = sorted((Path(__file__).parent / "tables").glob("*.py"))
CASES += [Case(**row) for table in TABLES for row in runpy.run_path(str(table))["ROWS"]]
THOUSAND_LAYERS = {"preactresnet1001", "resnet1202"}
MANY_LAYERS = {  # whose protocol takes seconds: here they are counted and trained, and the rest is among the slow tests
    "bagnet33", "bn_inception", "densenetbc100", "fractalnet", "googlenet", "highway19", "nasnetamobile", "prelunet_a",
    "preactresnet164", "resnet18a", "resnet50_2015", "shufflenet_g3", "tv_googlenet", "tv_shufflenet_v2",
    "tv_squeezenet", "vgg16_c", "wrn16_4",
}  # fmt: skip


def all_but(names: set[str], cases: list[Case]) -> pytest.MarkDecorator:
    """Parametrize, the cases of some names among the slow tests; all tests of a case, then those of the next."""
    marked = slow_if([each for each in cases if each.name in names], cases)
    return pytest.mark.parametrize("case", marked, ids=str, scope="module")


SHALLOW = [case for case in CASES if not case.deep]
every = all_but(THOUSAND_LAYERS, CASES)
shallow = all_but(MANY_LAYERS, SHALLOW)


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_every_local_model_has_a_row():
    folder = Path(registry.__file__).parent
    of_places = registry.registered_in([*folder.glob("pixel_*.py"), *folder.glob("box_*.py")])
    assert {case.name for case in CASES} == registry.local_names() - of_places - {"dcgan"}  # tests of their own


@every
def test_parameters_and_macs(case):
    net, images = case.count_only(), torch.empty(1, *case.image, device="meta")
    assert count(net) == case.params
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        assert net(images).shape == (1, case.classes)
    assert counter.get_total_flops() / 2 == pytest.approx(case.macs, rel=0.005)


@every
def test_groups_cover_every_parameter_from_stem_to_classifier(case):
    net = case.count_only()
    names = [name for name, _ in net.named_parameters()]
    head = net.pretrained_cfg["classifier"]
    classifier = [name for name in names if name.startswith(f"{head}.")]
    for coarse, expected in ((True, case.coarse), (False, case.fine)):
        groups = group_parameters(net, net.group_matcher(coarse=coarse))
        assert len(groups) == expected
        assert [name for group in sorted(groups) for name in groups[group]] == names
        by_module = group_modules(net, net.group_matcher(coarse=coarse))
        assert len(by_module) == expected
        assert groups[max(groups)] == classifier
        assert all(f"{name}.".startswith(f"{head}.") for name in by_module[max(by_module)])


@shallow
def test_create_model_arguments(case):
    net = case.build(num_classes=7, in_chans=2, drop_rate=0.3)
    assert (net.num_classes, net.in_chans, net.drop_rate) == (7, 2, 0.3)
    assert any(module.p == 0.3 for module in net.modules() if isinstance(module, nn.Dropout))
    assert net.eval()(case.images(channels=2)).shape == (2, 7)
    if "url" not in net.pretrained_cfg:
        with pytest.raises(RuntimeError, match="No pretrained weights"):
            case.build(pretrained=True)


@shallow
def test_default_cfg_names_the_first_convolution_and_the_classifier(case):
    net = case.count_only()
    cfg = net.pretrained_cfg
    assert isinstance(net.get_submodule(cfg["first_conv"]), nn.Conv1d | nn.Conv2d | nn.Conv3d)
    assert net.get_submodule(cfg["first_conv"]).in_channels == cfg["input_size"][0] == net.in_chans
    assert net.get_submodule(cfg["classifier"]) is net.get_classifier()
    assert tuple(cfg["input_size"]) == case.image and cfg["num_classes"] == case.classes


@shallow
def test_features_head_and_logits_agree(case):
    net, images = case.whole(), case.images()
    features = net.forward_features(images)
    assert features.shape[:2] == (2, net.num_features)
    embedding = net.forward_head(features, pre_logits=True)
    assert embedding.shape == (2, net.head_hidden_size)
    assert torch.equal(net.forward_head(features), net(images))
    if not case.maps:
        assert torch.equal(net.get_classifier()(embedding), net(images))


@shallow
def test_reset_classifier(case):
    net, images = case.copied().double().eval(), case.images().double()
    before = count(net)
    embedding = net.forward_head(net.forward_features(images), pre_logits=True)
    net.reset_classifier(3)
    assert net.num_classes == 3 and net(images).shape == (2, 3) and net(images).dtype == torch.float64
    net.reset_classifier(0)
    assert net.num_classes == 0 and isinstance(net.get_classifier(), nn.Identity)
    assert torch.equal(net(images), embedding)
    net.reset_classifier(case.classes)
    assert count(net) == before


@shallow
def test_features_only_gives_every_stage(case):
    images, whole = case.images(), case.whole()
    features = case.build(features_only=True).eval()
    assert features.feature_info.channels() == [info["num_chs"] for info in whole.feature_info]
    maps = features(images)
    assert [tuple(m.shape) for m in maps] == [tuple(m.shape) for m in whole.forward_intermediates(images)[1]]
    for output, channels, reduction in zip(
        maps, features.feature_info.channels(), features.feature_info.reduction(), strict=True
    ):
        assert output.shape[1] == channels
        # convolutions without padding lose a rim, so the reduction is the map's size only roughly
        assert output.shape[-1] <= images.shape[-1] / reduction < 2 * output.shape[-1] + case.rim
    some = case.build(features_only=True, out_indices=(0, -1)).eval()(images)
    assert torch.equal(some[0], maps[0]) and torch.equal(some[-1], maps[-1])
    if not any("." in info["module"] for info in whole.feature_info):  # timm's list has only children of the net
        listed = case.build(features_only=True, out_indices=(1,), feature_cls="list").eval()(images)
        assert torch.equal(listed[0], maps[1])


@shallow
def test_forward_intermediates(case):
    net, images = case.whole(), case.images()
    final, maps = net.forward_intermediates(images)
    assert len(maps) == len(net.feature_info) and final is maps[-1]
    assert torch.equal(final, net.forward_features(images))
    last_two = net.forward_intermediates(images, indices=2, intermediates_only=True)
    assert [torch.equal(a, b) for a, b in zip(last_two, maps[-2:], strict=True)] == [True, True]
    early, only = net.forward_intermediates(images, indices=[0], stop_early=True)
    assert torch.equal(early, maps[0]) and torch.equal(only[0], maps[0])
    with pytest.raises(ValueError, match="NCHW"):
        net.forward_intermediates(images, output_fmt="NLC")


@shallow
def test_prune_intermediate_layers(case):
    net, images = case.copied().eval(), case.images()
    _, maps = net.forward_intermediates(images)
    assert net.prune_intermediate_layers([0]) == [0]
    assert torch.equal(net(images), maps[0])
    assert net.num_features == maps[0].shape[1] and net.num_classes == 0
    assert not hasattr(net, "stage2") and not hasattr(net, "conv2")


@shallow
def test_traces_with_timm(case):
    net, images = case.whole(), case.images()
    stages = [info["module"] for info in net.feature_info]
    head = net.pretrained_cfg["classifier"]
    traced = create_feature_extractor(net, [*stages, head])(images)
    if case.maps:
        assert traced[head].shape[:2] == (2, case.classes) and traced[head].ndim == 1 + len(case.image)
    else:
        assert torch.equal(traced[head], net(images))
    for stage, output in zip(stages, net.forward_intermediates(images)[1], strict=True):
        assert torch.equal(traced[stage], output)


@shallow
def test_exports_with_a_dynamic_batch(case):
    net = case.whole()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(net, (case.images(),), dynamic_shapes=({0: batch},))
    images = case.images(5)
    assert torch.equal(program.module()(images), net(images))


@shallow
def test_state_dict_round_trip(case):
    net, file = case.copied(), io.BytesIO()
    net(case.images())  # moves batch statistics off their initial values
    torch.save(net.state_dict(), file)
    other = case.copied()
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    assert torch.equal(other.eval()(case.images()), net.eval()(case.images()))


@shallow
def test_gradient_checkpointing_changes_no_gradient(case):
    plain, saving, images = case.copied(), case.copied(), case.images()
    saving.set_grad_checkpointing()
    for net in (plain, saving):
        torch.manual_seed(0)  # the same dropout
        net(images).square().sum().backward()
    for (name, expected), actual in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert torch.equal(expected.grad, actual.grad), name


@all_but({"bn_inception", "nasnetamobile", "prelunet_a", "resnet50_2015", "tv_googlenet", "vgg16_c"}, SHALLOW)
def test_two_steps_of_sgd_lower_the_loss(case):
    net, images = case.build(drop_rate=0.0).train(), case.images(8)
    labels = torch.arange(8) % case.classes
    optimizer = torch.optim.SGD(net.parameters(), lr=case.lr)
    losses = []
    for step in range(3):
        loss = nn.functional.cross_entropy(net(images), labels)
        losses.append(loss.item())
        if step < 2:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert losses[2] < losses[1] < losses[0] < 10

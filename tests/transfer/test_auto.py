"""The rule of data and domain: measured once, decided by what was measured, kept through an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from cnntrain.commands.train import Train
from cnntrain.core.digest import digest
from cnntrain.core.errors import ConfigError
from cnntrain.models import registry
from cnntrain.runs import checkpoint
from cnntrain.transfer.auto import Auto
from cnntrain.transfer.base import Outset
from cnntrain.transfer.groups import HEAD, coarse_groups
from cnntrain.transfer.probing import similarity

Configure = Callable[..., Train]
MakeRun = Callable[..., Any]

STAGES = ["stem", "a", "b", "c"]
GROUPS = [*STAGES, "hidden", HEAD]


def measured(per_class: int, *accuracies: float | None) -> dict[str, Any]:
    """Of four classes and four stages, each a group."""
    stages = [
        {"stage": name, "accuracy": accuracy, "groups": number}
        for number, (name, accuracy) in enumerate(zip(STAGES, accuracies, strict=True), 1)
    ]
    return {"images": 4 * per_class, "classes": 4, "probed": 80, "stages": stages}


@pytest.fixture
def auto(configure: Configure) -> Callable[..., Auto]:
    """The policy with overrides of its keys, after it has measured."""

    def make(state: dict[str, Any], *keys: str) -> Auto:
        policy = configure("transfer=auto", *(f"transfer.{key}" for key in keys)).transfer
        assert isinstance(policy, Auto)
        return policy.start(state)

    return make


# the rule

SIMILAR, DIFFERENT = (0.3, 0.6, 0.7, 0.9), (0.3, 0.8, 0.7, 0.5)
CASES = [
    (99, SIMILAR, "linear_probe", 5, 1.0, "little data, similar domain: a linear classifier on top"),
    (99, DIFFERENT, "freeze_depth", 2, 0.1, "little data, different domain: frozen up to a, the best stage; "),
    (100, SIMILAR, "freeze_depth", 3, 0.1, "much data, similar domain: a few layers are trained, those that follow b"),
    (
        100,
        DIFFERENT,
        "full",
        0,
        0.1,
        "much data, different domain: all layers are trained, at 0.1 of the classifier",
    ),
]


@pytest.mark.parametrize(("per_class", "accuracies", "policy", "frozen", "rate", "rule"), CASES)
def test_the_four_cases(
    per_class: int, accuracies: tuple[float, ...], policy: str, frozen: int, rate: float, rule: str,
    auto: Callable[..., Auto],
) -> None:  # fmt: skip
    found = auto(measured(per_class, *accuracies))
    decision = found.decision()
    assert (decision["policy"], decision["little"], decision["similar"]) == (
        policy, per_class < 100, accuracies is SIMILAR,
    )  # fmt: skip
    assert decision["accuracy"] == dict(zip(STAGES, accuracies, strict=True))
    assert (decision["images"], decision["images_per_class"]) == (4 * per_class, per_class)
    assert decision["rule"].startswith(rule)
    for epoch in (0, 7):
        assert found.frozen(GROUPS, epoch) == [number < frozen for number in range(6)]
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    head = {"1.weight", "1.bias"}
    assert found.rate_multipliers(net, head) == {"0.weight": rate, "0.bias": rate, "1.weight": 1.0, "1.bias": 1.0}
    said = "\n".join(found.notes())
    assert all(each in said for each in (rule, f"{4 * per_class} training images", f"{accuracies[1]:.1%}"))


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [
        ((0.1, 0.2, 0.91, 0.9), None),
        ((0.1, 0.2, 0.93, 0.9), "b"),
        ((0.93, 0.2, 0.93, 0.9), "b"),  # the deepest of the best
        ((0.9, 0.9, 0.9, 0.9), None),
        ((None, None, None, None), None),
    ],
)
def test_a_domain_is_different_where_an_earlier_stage_is_better_by_more_than_the_margin(
    accuracies: tuple[float | None, ...], best: str | None, auto: Callable[..., Auto]
) -> None:
    found = auto(measured(10, *accuracies), "margin=0.02").decision()
    assert found["similar"] == (best is None)
    assert best is None or f"frozen up to {best}, the best stage" in found["rule"]


def test_the_keys_move_the_limits(auto: Callable[..., Auto]) -> None:
    assert auto(measured(100, *SIMILAR), "little=101").decision()["policy"] == "linear_probe"
    assert auto(measured(100, *DIFFERENT), "margin=0.31").decision()["similar"]
    assert auto(measured(100, *SIMILAR), "last_stages=3").decision()["frozen_groups"] == 1
    everything = auto(measured(100, *SIMILAR), "last_stages=4").decision()
    assert (everything["policy"], everything["frozen_groups"]) == ("full", 0)
    net, head = nn.Linear(2, 2), {"bias"}
    rates = auto(measured(100, *DIFFERENT), "body_lr_multiplier=0.5", "head_lr_multiplier=3").rate_multipliers(
        net, head
    )
    assert rates == {"weight": 0.5, "bias": 3.0}


def test_what_cannot_be_measured_is_said(auto: Callable[..., Auto]) -> None:
    state = {**measured(1, None, None, None, None), "probed": 0}
    assert "  too few images of a class to measure a similarity: taken as a similar domain" in auto(state).notes()


def test_without_a_measurement_there_is_no_decision(auto: Callable[..., Auto], configure: Configure) -> None:
    for policy in (auto({}), configure("transfer=auto").transfer):
        assert policy.state_dict() == {}
        with pytest.raises(ConfigError, match="transfer=auto decides by the training images when a run starts"):
            policy.frozen(GROUPS, 0)


def test_a_policy_that_has_measured_leaves_the_configuration_as_it_is(configure: Configure) -> None:
    policy, state = configure("transfer=auto").transfer, measured(99, *SIMILAR)
    assert policy.start(state).state_dict() == state
    assert policy == configure("transfer=auto").transfer
    assert policy.state_dict() == {}


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("little=0", "transfer.little=0 must be an integer at least 1"),
        ("last_stages=0", "transfer.last_stages=0 must be an integer at least 1"),
        ("margin=1", "transfer.margin=1 must be a number at least 0 and below 1"),
        ("probe_images=19", "transfer.probe_images=19 must be an integer at least 20"),
        ("body_lr_multiplier=0", "transfer.body_lr_multiplier=0 must be a number above 0"),
    ],
)
def test_limits(key: str, message: str, auto: Callable[..., Auto]) -> None:
    with pytest.raises(ConfigError) as caught:
        auto({}, key)
    assert str(caught.value) == message


# the measurement


@given(counts=st.lists(st.integers(0, 40), min_size=1, max_size=30), size=st.integers(20, 200), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_probed_images_can_be_cross_validated(counts: list[int], size: int, seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    rows = similarity.subset(labels, size)
    assert rows.tolist() == similarity.subset(labels, size).tolist()
    assert len(set(rows.tolist())) == len(rows) <= size
    if sum(count > 1 for count in counts) < 2:
        assert not len(rows)
        return
    classes, found = np.unique(labels[rows], return_counts=True)
    assert len(classes) >= 2
    assert found.min() >= 2
    for label, count in zip(classes, found, strict=True):
        assert count >= min(similarity.LEAST, counts[label])


@pytest.mark.parametrize(
    ("size", "counts"),
    [(20, [10, 10]), (40, [10] * 4), (45, [12, 11, 11, 11]), (55, [11] * 5), (400, [30] * 10), (25, [13, 12])],
)
def test_so_many_classes_are_probed_that_each_has_ten_images(size: int, counts: list[int]) -> None:
    labels = np.repeat(np.arange(10), 30)
    _, found = np.unique(labels[similarity.subset(labels, size)], return_counts=True)
    assert sorted(found, reverse=True) == counts
    assert similarity.subset(labels, 40).dtype == np.int64


def test_of_few_images_some_are_probed_at_random_and_one_alone_is_none() -> None:
    labels = np.repeat([0, 1, 2], [25, 1, 25])
    rows = similarity.subset(labels, 20)
    assert 25 not in rows and sorted(labels[rows]) == [0] * 10 + [2] * 10
    assert set(rows) != {*range(10), *range(26, 36)} and rows.tolist() == sorted(rows)
    assert len(similarity.subset(np.repeat([0, 1, 2], [25, 1, 1]), 20)) == 0
    assert len(similarity.subset(np.repeat([0, 1], [2, 2]), 20)) == 4


@pytest.mark.parametrize(("fewest", "folds"), [(2, 2), (4, 4), (5, 5), (9, 5)])
def test_as_many_folds_as_the_smallest_class_has_images_and_at_most_five(fewest: int, folds: int) -> None:
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1], [fewest, 12])
    features = random.normal(size=(len(labels), 3)) * [1, 10, 100] + labels[:, None] * [0.8, 8, 0]
    reference = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-2, 4, 7)))
    splits = StratifiedKFold(folds, shuffle=True, random_state=0)
    assert similarity._accuracy(features, labels) == cross_val_score(reference, features, labels, cv=splits).mean()


class Task(Outset):
    """Images of classes that differ by their brightness, under noise."""

    def __init__(self, model: nn.Module, count: int, classes: int, size: int):
        labels = np.arange(count) % classes
        random = torch.Generator().manual_seed(0)
        self.all = torch.randn(count, 3, size, size, generator=random) + torch.from_numpy(labels)[:, None, None, None]
        super().__init__(model, labels, classes, self.some)

    def some(self, rows: Sequence[int]) -> Iterator[torch.Tensor]:
        return (self.all[rows[start : start + 16]] for start in range(0, len(rows), 16))


def build_model(name: str) -> nn.Module:
    registry.register()
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=3)


@pytest.mark.no_cover
def test_accuracies_are_scikit_learns_on_the_averaged_maps() -> None:
    model = build_model("resnet18")
    task = Task(model, 60, 3, 32)
    found = similarity.measure(task, 40)
    assert (found["images"], found["classes"], found["probed"]) == (60, 3, 40)
    assert model.training
    rows = similarity.subset(task.labels, 40)
    maps: dict[str, list[torch.Tensor]] = {name: [] for name in ("act1", "layer1", "layer2", "layer3", "layer4")}
    for name, kept in maps.items():
        model.get_submodule(name).register_forward_hook(lambda _, __, out, kept=kept: kept.append(out.mean((2, 3))))
    with torch.no_grad():
        model.eval()(task.all[rows])
    for stage, (name, (features,)) in zip(found["stages"], maps.items(), strict=True):
        reference = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-2, 4, 7)))
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        expected = cross_val_score(reference, features.numpy(), task.labels[rows], cv=folds).mean()
        assert stage["stage"] == name
        assert stage["accuracy"] == pytest.approx(expected, abs=0.03)  # batches of 16 round otherwise
    assert found["stages"][0]["accuracy"] > 0.8


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("resnet18", {"act1": "conv1..bn1", "layer1": "layer1", "layer2": "layer2", "layer3": "layer3",
                      "layer4": "layer4"}),
        ("densenet121", {"features.norm0": "features.conv0..features.norm0",
                         "features.denseblock1": "features.denseblock1..features.transition1",
                         "features.denseblock2": "features.denseblock2..features.transition2",
                         "features.denseblock3": "features.denseblock3..features.transition3",
                         "features.norm5": "features.norm5"}),
        ("alexnet", {name: name for name in ("conv1", "conv2", "conv3", "conv4", "conv5")}),
    ],
)  # fmt: skip
def test_each_stage_knows_the_groups_that_compute_it(name: str, groups: dict[str, str]) -> None:
    model = build_model(name)
    size = 227 if name == "alexnet" else 32
    found = similarity._groups_before(model, torch.zeros(1, 3, size, size))
    names = [group.name for group in coarse_groups(model)]
    assert {stage: names[count - 1] for stage, count in found.items()} == groups


# in a run


SMALL = ("transfer=auto", "transfer.probe_images=40", "augment=none", "checkpoint.every_steps=1")


@pytest.fixture
def spoilt(make_run: MakeRun, tmp_path: Path) -> dict[str, Path]:
    """Weights of lenet5: those of a run, and the same whose second convolution gives noise of the last channel only."""
    run = make_run("trainer.epochs=6", folder=tmp_path / "source")
    run.fit()
    state = run.model.state_dict()
    paths = {name: tmp_path / f"{name}.pt" for name in ("whole", "spoilt")}
    torch.save(state, paths["whole"])
    state["conv2.0.weight"] = torch.zeros_like(state["conv2.0.weight"])
    torch.save(state, paths["spoilt"])
    return paths


@pytest.mark.parametrize(
    ("weights", "little", "policy", "frozen"),
    [
        ("whole", 100, "linear_probe", ["conv1", "conv2", "hidden.0", "hidden.1"]),
        ("spoilt", 100, "freeze_depth", ["conv1"]),
        ("whole", 5, "freeze_depth", ["conv1"]),
        ("spoilt", 5, "full", []),
    ],
)
def test_a_run_measures_says_and_does(
    weights: str, little: int, policy: str, frozen: list[str], spoilt: dict[str, Path], configure: Configure,
    result_of: Any,
) -> None:  # fmt: skip
    words = (*SMALL, f"model.weights={spoilt[weights]}", f"transfer.little={little}", "trainer.epochs=1")
    folder = Path(str(configure(*words, f"name={weights}").execute([]).made))
    found = result_of(folder)["transfer"]
    assert (found["name"], found["policy"], found["images"]) == ("auto", policy, 48)
    assert (found["similar"], found["little"]) == (weights == "whole", little == 100)
    assert found["accuracy"]["conv1"] > 0.5
    assert (found["accuracy"]["conv2"] < 0.3) == (weights == "spoilt")
    log = (folder / "train.log").read_text()
    assert found["rule"] in log.replace("\n", " ") or found["rule"][:100] in log
    before = torch.load(spoilt[weights], weights_only=True)
    after = checkpoint.load(folder / checkpoint.LAST)["model"]
    for module in ("conv1", "conv2", "hidden.0", "hidden.1", "classifier"):
        same = all(torch.equal(after[key], before[key]) for key in after if key.startswith(f"{module}."))
        assert same == (module in frozen), module


@pytest.mark.no_cover
def test_a_resumed_run_does_not_measure_again(
    spoilt: dict[str, Path], make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*SMALL, f"model.weights={spoilt['spoilt']}")
    make_run(*words, folder=tmp_path / "straight").fit()
    run = make_run(*words, "trainer.max_steps=3", folder=tmp_path / "stopped")
    run.fit()
    decision = run.policy.decision()
    monkeypatch.setattr(similarity, "measure", None)
    again = make_run(*words, folder=tmp_path / "stopped")
    assert again.policy.decision() == decision
    again.fit()
    one, other = (checkpoint.load(tmp_path / name / checkpoint.LAST) for name in ("straight", "stopped"))
    for key in ("model", "optimizer", "transfer"):
        assert digest(one[key]) == digest(other[key]), key
    changed = make_run(*words, "transfer.little=5", folder=tmp_path / "stopped")
    assert changed.policy.decision()["policy"] == "full"
    assert not changed.freezing.names


def test_a_run_that_another_policy_began_cannot_become_auto(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("trainer.epochs=1", folder=tmp_path / "run").fit()
    with pytest.raises(ConfigError, match="nothing was measured: name the policy, transfer=linear_probe"):
        make_run(*SMALL, "model.pretrained=false", folder=tmp_path / "run")

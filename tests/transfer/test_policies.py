"""Each policy: what is frozen when, and how fast the rest moves, by hand and in real runs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from composing import composed
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn

from cnntrain.commands.summary import Summary
from cnntrain.config import resume
from cnntrain.config.check import check
from cnntrain.config.groups import PLUGINS, plugin_names
from cnntrain.config.schema import TrainConfig
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.models import registry
from cnntrain.optim.groups import parameter_groups
from cnntrain.runs import folder
from cnntrain.runs.report import Moment, Report
from cnntrain.runs.screen import Screen
from cnntrain.training import loop
from cnntrain.training.opening import opening
from cnntrain.transfer.base import Transfer
from cnntrain.transfer.freezing import Freezing
from cnntrain.transfer.gradual import Gradual
from cnntrain.transfer.groups import HEAD, Group, coarse_groups
from cnntrain.transfer.head_then_full import HeadThenFull
from cnntrain.transfer.layer_decay import LayerDecay

MakeRun = Callable[..., Any]
POLICIES = [name for name in plugin_names("transfer") if name != "auto"]
NEEDED = {"freeze_until": ("transfer.until=head",)}
MODELS = ["resnet18", "lenet5", "efficientnet_b0"]
LENET5 = ["conv1", "conv2", "hidden.0", "hidden.1", "classifier"]


@cache
def transfer(name: str, *overrides: str) -> Transfer:
    """A policy as the command line makes it."""
    keys = [f"transfer.{each}" for each in overrides]
    return check(composed([f"transfer={name}", *keys]), TrainConfig).transfer


@cache
def model_of(name: str) -> nn.Module:
    registry.register()
    with torch.device("meta"):
        return timm.create_model(name, num_classes=4)


@cache
def groups_of(name: str) -> list[Group]:
    return coarse_groups(model_of(name))


def frozen(policy: Transfer, model: str, epoch: int = 0) -> set[str]:
    return policy.frozen_parameters(groups_of(model), epoch)


def below(model: str, *modules: str) -> set[str]:
    """Names of the parameters of these modules."""
    prefixes = tuple(f"{module}." for module in modules)
    found = {name for name, _ in model_of(model).named_parameters() if name.startswith(prefixes)}
    assert all(any(name.startswith(prefix) for name in found) for prefix in prefixes)
    return found


def multipliers(policy: Transfer, model: str) -> dict[str, float]:
    return policy.rate_multipliers(model_of(model), set(groups_of(model)[-1].parameters))


# freeze_until


STEM = ("conv1", "bn1")


@pytest.mark.parametrize(
    ("model", "until", "modules"),
    [
        ("resnet18", "conv1", ()),
        ("resnet18", "conv1..bn1", ()),
        ("resnet18", "bn1", ("conv1",)),
        ("resnet18", "layer1", STEM),
        ("resnet18", "layer3", (*STEM, "layer1", "layer2")),
        ("resnet18", "layer2.1", (*STEM, "layer1", "layer2.0")),
        ("resnet18", "layer2.0.conv2", (*STEM, "layer1", "layer2.0.conv1", "layer2.0.bn1")),
        ("resnet18", "layer2.0.downsample",
         (*STEM, "layer1", "layer2.0.conv1", "layer2.0.bn1", "layer2.0.conv2", "layer2.0.bn2")),
        ("resnet18", "fc", (*STEM, "layer1", "layer2", "layer3", "layer4")),
        ("resnet18", "head", (*STEM, "layer1", "layer2", "layer3", "layer4")),
        ("lenet5", "conv1", ()),
        ("lenet5", "hidden", ("conv1", "conv2")),
        ("lenet5", "hidden.1.fc", ("conv1", "conv2", "hidden.0")),
        ("lenet5", "classifier", ("conv1", "conv2", "hidden")),
        ("efficientnet_b0", "blocks", ("conv_stem", "bn1")),
        ("efficientnet_b0", "bn2", ("conv_stem", "bn1", "blocks", "conv_head")),
    ],
)  # fmt: skip
def test_until_freezes_all_that_comes_before(model: str, until: str, modules: tuple[str, ...]) -> None:
    policy = transfer("freeze_until", f"until={until}")
    assert frozen(policy, model) == frozen(policy, model, epoch=99) == below(model, *modules)


def test_until_a_later_one_of_several_classifiers_trains_them_all() -> None:
    groups = coarse_groups(timm.create_model("deit_tiny_distilled_patch16_224", num_classes=3))
    names = transfer("freeze_until", "until=head_dist").frozen_parameters(groups, 0)
    assert names == {name for group in groups[:-1] for name in group.parameters}


def test_head_is_the_classifier_also_where_a_stage_is_called_so() -> None:
    groups = [Group("stem", ("a.w",)), Group(HEAD, ("head.conv.w",)), Group(HEAD, ("fc.w",))]
    assert transfer("freeze_until", "until=head").frozen_parameters(groups, 0) == {"a.w", "head.conv.w"}
    assert transfer("freeze_until", "until=head.conv").frozen_parameters(groups, 0) == {"a.w"}


@pytest.mark.parametrize(
    ("until", "hint"),
    [("layer_3", "; did you mean 'layer3'"), ("avgpool", ""), ("layer", ""), ("layer1.0.conv3", "'layer1.0.conv2'")],
)
def test_an_unknown_name_is_answered_with_the_stages_and_what_may_be_meant(until: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        frozen(transfer("freeze_until", f"until={until}"), "resnet18")
    said = str(caught.value)
    assert said.startswith(f"transfer.until={until} is no stage and no module with parameters of this model")
    assert said.endswith("; its stages are conv1..bn1, layer1, layer2, layer3, layer4, head")
    assert hint in said
    assert ("did you mean" in said) == (hint != "" or until == "layer")  # which is near to every layer


@pytest.mark.parametrize("value", ["null", ""])
def test_until_must_be_given(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^transfer\.until is required: transfer\.until=<the first stage or layer"):
        transfer("freeze_until", f"until={value}")


# gradual


@pytest.mark.parametrize(
    ("every", "limit", "trained"),
    [
        (1, "null", [1, 2, 3, 4, 5, 5, 5]),
        (2, "null", [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]),
        (1, 1, [1, 2, 2, 2]),
        (3, 2, [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]),
        (1, 4, [1, 2, 3, 4, 5, 5]),
    ],
)
def test_gradual_trains_one_more_group_every_few_epochs(every: int, limit: Any, trained: list[int]) -> None:
    policy = transfer("gradual", f"every={every}", f"groups={limit}")
    for epoch, count in enumerate(trained):
        assert frozen(policy, "lenet5", epoch) == below("lenet5", *LENET5[: 5 - count]), epoch


def test_gradual_on_a_resnet() -> None:
    policy, stages = transfer("gradual"), (*STEM, "layer1", "layer2", "layer3", "layer4")
    assert frozen(policy, "resnet18", 0) == below("resnet18", *stages)
    assert frozen(policy, "resnet18", 1) == below("resnet18", *stages[:-1])
    assert frozen(policy, "resnet18", 4) == below("resnet18", *STEM)
    assert frozen(policy, "resnet18", 5) == set()


def test_more_groups_than_the_model_has_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        frozen(transfer("gradual", "groups=5"), "lenet5")
    assert str(caught.value) == (
        "transfer.groups=5: this model has 4 groups before its head; from the stem on they are conv1, conv2, "
        "hidden.0, hidden.1"
    )


@given(
    bodies=st.integers(1, 12), every=st.integers(1, 7), limit=st.none() | st.integers(1, 12), epochs=st.integers(1, 60)
)
@settings(max_examples=100, deadline=None)
def test_gradual_only_ever_thaws_and_never_freezes_the_head(
    bodies: int, every: int, limit: int | None, epochs: int
) -> None:
    policy = replace(transfer("gradual"), every=every, groups=limit and min(limit, bodies))
    assert isinstance(policy, Gradual)
    groups = [Group(f"s{n}", (f"s{n}.weight", f"s{n}.bias")) for n in range(bodies)] + [Group(HEAD, ("fc.weight",))]
    sets = [policy.frozen_parameters(groups, epoch) for epoch in range(epochs)]
    assert sets[0] == {name for group in groups[:-1] for name in group.parameters}
    for epoch in range(1, epochs):
        assert sets[epoch] <= sets[epoch - 1]
        thawed = {name.partition(".")[0] for name in sets[epoch - 1] - sets[epoch]}
        assert len(thawed) <= (epoch % every == 0)  # one group, and only then
        assert not thawed or max(sets[epoch], default="") < min(thawed) or bodies > 10  # s10 sorts before s2
    last = policy.frozen_parameters(groups, 10**9)
    assert len(last) == 2 * (bodies - (policy.groups or bodies))
    assert all("fc.weight" not in each for each in [*sets, last])


# head_then_full, layer_decay and the rates of all


def test_the_head_first_and_then_everything_at_a_tenth_of_the_rate() -> None:
    policy = transfer("head_then_full", "probe_epochs=3", "head_lr_multiplier=7")
    body = below("lenet5", *LENET5[:-1])
    assert [frozen(policy, "lenet5", epoch) for epoch in range(5)] == [body, body, body, set(), set()]
    assert [policy.rate_multiplier(epoch) for epoch in range(5)] == [1.0, 1.0, 1.0, 0.1, 0.1]
    assert transfer("head_then_full", "full_lr_multiplier=2").rate_multiplier(5) == 2
    assert multipliers(policy, "lenet5") == {
        **dict.fromkeys(body, 1.0), "classifier.weight": 7.0, "classifier.bias": 7.0
    }  # fmt: skip


def test_rates_decay_with_the_distance_from_the_classifier() -> None:
    rates = multipliers(transfer("layer_decay", "decay=0.5"), "lenet5")
    by_hand = dict(zip(LENET5, [0.0625, 0.125, 0.25, 0.5, 1.0], strict=True))
    assert rates == {name: rate for module, rate in by_hand.items() for name in below("lenet5", module)}
    rates = multipliers(transfer("layer_decay", "head_lr_multiplier=10"), "resnet18")  # stem, 8 blocks, classifier
    assert rates["conv1.weight"] == rates["bn1.bias"] == 0.75**9
    assert rates["layer1.0.conv1.weight"] == 0.75**8
    assert rates["layer4.0.downsample.0.weight"] == 0.75**2
    assert rates["layer4.1.bn2.weight"] == 0.75
    assert rates["fc.weight"] == rates["fc.bias"] == 10


@pytest.mark.parametrize("model", [*MODELS, "densenet121", "googlenet", "vgg11_bn"])
@pytest.mark.parametrize("decay", [0.75, 0.9])
def test_rates_decay_as_timms_own_groups(model: str, decay: float) -> None:
    net = model_of(model)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    reference = param_groups_layer_decay(net, layer_decay=decay)
    scales = {names[id(parameter)]: group["lr_scale"] for group in reference for parameter in group["params"]}
    assert multipliers(transfer("layer_decay", f"decay={decay}"), model) == scales


def test_layer_decay_freezes_nothing_and_shows_the_rate_next_to_the_head() -> None:
    policy = transfer("layer_decay", "head_lr_multiplier=3")
    assert frozen(policy, "resnet18") == set()
    optim = check(composed(["optim.lr=0.4"]), TrainConfig).optim
    groups = parameter_groups(model_of("resnet18"), optim, multipliers(policy, "resnet18"))
    rates = [group["lr"] for group in groups]
    assert rates == pytest.approx([*(0.4 * 0.75**n for n in range(1, 10)), 1.2])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", POLICIES)
def test_whatever_the_policy_the_head_is_trained_and_every_rate_is_positive(name: str, model: str) -> None:
    policy = transfer(name, *(each.removeprefix("transfer.") for each in NEEDED.get(name, ())), "head_lr_multiplier=3")
    groups = groups_of(model)
    head = set(groups[-1].parameters)
    order = list(range(12))
    asked = {epoch: policy.frozen_parameters(groups, epoch) for epoch in order[::-1]}
    assert asked == {epoch: policy.frozen_parameters(groups, epoch) for epoch in order}  # the past does not matter
    assert all(not names & head for names in asked.values())
    rates = multipliers(policy, model)
    assert set(rates) == {name for name, _ in model_of(model).named_parameters()}
    assert all(rate > 0 for rate in rates.values())
    assert all(rates[name] == 3 for name in head)
    assert next(iter(rates)) not in head  # so that a run shows the body's rate
    assert all(policy.rate_multiplier(epoch) > 0 for epoch in order)


def test_what_a_policy_says_nothing_of_is_as_in_a_plain_run() -> None:
    plain = transfer("full")
    assert (plain.wants_pretrained, plain.loads_weights, plain.side_by_side) == (False, True, False)
    assert (plain.rate_multiplier(3), plain.decay_multipliers(model_of("lenet5"))) == (1.0, {})
    nothing: Any = None
    assert [plain.decide(nothing), plain.state_dict(), plain.decision(), plain.conclude(nothing)] == [{}] * 4
    assert plain.notes() == [] and plain.start({"of": "another"}) is plain
    net = nn.Linear(1, 1)
    assert plain.prepare(net, torch.zeros(1), None) is net
    scratch = transfer("scratch")
    assert (scratch.wants_pretrained, scratch.loads_weights, scratch.side_by_side) == (False, False, False)
    assert scratch.frozen(LENET5, 0) == [False] * 5
    for name in ("linear_probe", "gradual", "head_then_full", "layer_decay"):
        policy = transfer(name)
        assert (policy.wants_pretrained, policy.loads_weights, policy.side_by_side) == (True, True, False), name
    assert transfer("probe_depths").side_by_side is True
    with pytest.raises(NotImplementedError):
        Transfer("unnamed", 1.0).frozen(LENET5, 0)


@given(decay=st.floats(0.1, 1), head=st.floats(1e-3, 1e3), model=st.sampled_from(MODELS))
@settings(max_examples=30, deadline=None)
def test_a_layer_never_moves_faster_than_the_next(decay: float, head: float, model: str) -> None:
    policy = replace(transfer("layer_decay"), decay=decay, head_lr_multiplier=head)
    assert isinstance(policy, LayerDecay)
    rates = list(multipliers(policy, model).values())
    count = len(groups_of(model)[-1].parameters)
    assert all(rate > 0 for rate in rates)
    assert rates[:-count] == sorted(rates[:-count], reverse=True)
    assert rates[-count:] == [head] * count


@pytest.mark.parametrize(
    ("name", "key", "message"),
    [
        ("gradual", "every=0", "transfer.every=0 must be an integer at least 1"),
        ("gradual", "groups=0", "transfer.groups=0 must be an integer at least 1 or null"),
        ("layer_decay", "decay=0", "transfer.decay=0 must be a number above 0 and at most 1"),
        ("layer_decay", "decay=1.5", "transfer.decay=1.5 must be a number above 0 and at most 1"),
        ("head_then_full", "probe_epochs=0", "transfer.probe_epochs=0 must be an integer at least 1"),
        ("head_then_full", "full_lr_multiplier=0", "transfer.full_lr_multiplier=0 must be a number above 0"),
        (
            "head_then_full",
            "probe_epoch=3",
            "unknown key 'transfer.probe_epoch'; did you mean 'transfer.probe_epochs'?",
        ),
        ("full", "decay=0.5", "unknown key 'transfer.decay': it belongs to transfer=layer_decay"),
        ("scratch", "head_lr_multiplier=-1", "transfer.head_lr_multiplier=-1 must be a number above 0"),
    ],
)
def test_limits(name: str, key: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        transfer(name, key)
    assert str(caught.value) == message


# what Freezing makes of it


def test_a_change_of_what_is_frozen_is_told() -> None:
    registry.register()
    model = timm.create_model("lenet5", num_classes=3)
    freezing = Freezing(model, transfer("gradual", "every=2", "groups=2"))
    assert freezing.names == below("lenet5", *LENET5[:-1])
    changes = []
    for epoch in range(7):
        before = set(freezing.names)
        changes.append(freezing.planned(epoch) != before)
        assert freezing.names == before  # asking changes nothing
        freezing.apply(epoch)
    assert changes == [False, False, True, False, True, False, False]
    assert freezing.names == below("lenet5", "conv1", "conv2")
    freezing.apply(0)  # back, as on a resume of an earlier checkpoint
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == freezing.names
    assert freezing.names == below("lenet5", *LENET5[:-1])


def test_a_group_may_be_frozen_in_part() -> None:
    model = timm.create_model("resnet18", num_classes=3)
    freezing = Freezing(model, transfer("freeze_until", "until=layer3.1"))
    wholly = [freezing.names.issuperset(group.parameters) for group in freezing.groups]
    assert wholly == [True, True, True, False, False, False]
    freezing.train_mode()
    training = {name for name, module in model.named_modules() if module.training}
    assert not training & {"bn1", "layer2.1.bn2", "layer3.0", "layer3.0.bn1", "layer3.0.act1"}
    assert {"layer3", "layer3.1", "layer3.1.bn1", "layer3.1.act1", "layer4.0.bn1"} <= training
    assert freezing.changes(3) == [*[{0: "frozen"}] * 3, {0: "partly frozen"}, *[{0: "trained"}] * 2]


def table_of(run: Any, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The stage table as it is shown, from its title on."""
    screen = Screen(None)
    for each in opening(run.run):
        screen.say(each)
    lines = capsys.readouterr().out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("transfer="))
    return [" ".join(line.replace("│", " ").replace("┃", " ").split()) for line in lines[start:]]


@pytest.mark.parametrize(
    ("overrides", "rows"),
    [
        (("transfer=gradual",), ["conv1 456 frozen, never trained in these 3 epochs",
                                 "conv2 2,416 frozen, never trained in these 3 epochs",
                                 "hidden.0 48,120 frozen, trained from epoch 3",
                                 "hidden.1 10,164 frozen, trained from epoch 2", "head 595 trained"]),
        (("transfer=gradual", "transfer.groups=1"), ["conv1 456 frozen", "hidden.0 48,120 frozen",
                                                     "hidden.1 10,164 frozen, trained from epoch 2"]),
        (("transfer=gradual", "trainer.max_steps=4"), ["hidden.0 48,120 frozen, never trained in these 2 epochs",
                                                       "hidden.1 10,164 frozen, trained from epoch 2"]),
        (("transfer=freeze_until", "transfer.until=hidden.1"), ["hidden.0 48,120 frozen", "hidden.1 10,164 trained"]),
        (("transfer=head_then_full", "transfer.probe_epochs=2"), ["conv1 456 frozen, trained from epoch 3",
                                                                  "head 595 trained", "every rate x 0.1 from epoch 3"]),
        (("transfer=head_then_full",), ["conv1 456 frozen, never trained in these 3 epochs", "head 595 trained"]),
        (("transfer=layer_decay",), ["stage parameters lr x", "conv1 456 trained 0.316", "hidden.1 10,164 trained 0.75",
                                     "head 595 trained 1"]),
        (("transfer=linear_probe", "transfer.head_lr_multiplier=2.5"), ["stage parameters lr x", "conv1 456 frozen",
                                                                        "head 595 trained 2.5"]),
        (("transfer=scratch",), ["stage parameters", "conv1 456 trained", "head 595 trained"]),
    ],
)  # fmt: skip
def test_the_stage_table_says_what_is_trained_when_and_how_fast(
    overrides: tuple[str, ...], rows: list[str], make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = table_of(make_run("model.pretrained=false", *overrides), capsys)
    assert [row for row in rows if row not in shown] == [], shown
    assert any("every rate" in line for line in shown) == any("every rate" in row for row in rows)


def test_a_stage_of_several_rates_shows_the_span(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    shown = table_of(make_run("model=resnet20", "data.image_size=16", "transfer=layer_decay",
                              "model.pretrained=false"), capsys)  # fmt: skip
    assert any(row.startswith("stage3 ") and row.endswith(" trained 0.422..0.75") for row in shown), shown


# scratch


def test_scratch_drops_the_weights_and_says_so_in_the_configuration() -> None:
    settled = check(composed(["transfer=scratch", "model.weights=a.safetensors"]), TrainConfig)
    assert (settled.model.weights, settled.model.pretrained) == (None, False)
    again = check(yaml.safe_load(yaml.safe_dump(asdict(settled))), TrainConfig)
    assert again == settled
    shown = check(composed(["transfer=scratch", "model.weights=a.safetensors"], "summary"), Summary)
    assert (shown.model.weights, shown.model.pretrained) == (None, False)


def test_scratch_with_pretrained_weights_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        check(composed(["transfer=scratch", "model.pretrained=true"]), TrainConfig)
    assert str(caught.value) == (
        "model.pretrained=true: transfer=scratch starts from random weights; transfer=full trains everything from "
        "pretrained ones"
    )


def test_scratch_reads_no_weights_and_starts_as_a_plain_run(make_run: MakeRun) -> None:
    weights = "model.weights=nowhere/best.ckpt"
    with pytest.raises(InputError, match="nowhere"):
        make_run("transfer=full", weights)
    control, plain = make_run("transfer=scratch", weights), make_run("transfer=full")
    assert control.freezing.names == set()
    for key, value in plain.model.state_dict().items():
        assert torch.equal(control.model.state_dict()[key], value)


@pytest.mark.parametrize("which", ["auto", "latest", "folder"])
def test_the_command_of_a_scratch_run_resumes_it(which: str, tmp_path: Path) -> None:
    typed = ["transfer=scratch", "model.weights=best.ckpt"]
    tree = {**composed(typed), "output": str(tmp_path)}
    place = tmp_path / "digits-lenet5-scratch" / "20260102-030400"
    place.mkdir(parents=True)
    saved = asdict(check(tree, TrainConfig))
    assert saved["model"]["weights"] is None
    (place / folder.CONFIG).write_text(yaml.safe_dump(saved, sort_keys=False))
    word = str(place) if which == "folder" else which
    groups = list(PLUGINS)
    found = resume.resolve(copy.deepcopy(tree) | {"resume": word}, [f"resume={word}", *typed], groups)
    assert found is not None
    assert (found.folder, found.notes, found.finished) == (place, [], False)
    assert found.tree["model"]["weights"] is None
    with pytest.raises(ConfigError, match=r"model\.weights cannot change from None to best\.ckpt within a run"):
        resume.resolve(
            {**composed(["transfer=full", typed[1]]), "output": str(tmp_path), "resume": str(place)},
            ["transfer=full", typed[1]], groups,
        )  # fmt: skip


# real runs


class Watch(Report):
    """Keeps the state, and the rates by parameter, after every epoch."""

    def __init__(self, run: Any):
        super().__init__(run.report.columns, run.report.sinks)
        self.run = run
        self.states: list[dict[str, Tensor]] = []
        self.rates: list[dict[str, float]] = []
        self.shown: list[float] = []

    def epoch_done(self, step: int, now: Moment, values: Mapping[str, float], improved: bool, note: str | None) -> None:
        super().epoch_done(step, now, values, improved, note)
        self.states.append(state_of(self.run))
        groups = self.run.optimizer.param_groups
        self.rates.append({name: group["lr"] for group in groups for name in group["param_names"]})
        self.shown.append(values["lr"])


def state_of(run: Any) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in run.model.state_dict().items()}


def watched(make_run: MakeRun, place: Path, *overrides: str) -> tuple[Any, Watch, list[set[str]]]:
    """A run, and for each of its epochs the parameters and buffers that moved in it."""
    run = make_run("schedule=constant", "model.pretrained=false", *overrides, folder=place)
    states = [state_of(run)]
    watch = run.report = Watch(run)
    assert run.fit() == loop.FINISHED
    states += watch.states
    moved = [
        {name for name, value in after.items() if not torch.equal(value, before[name])}
        for before, after in pairwise(states)
    ]
    return run, watch, moved


ALL = tuple(LENET5)
RUNS: dict[str, tuple[tuple[str, ...], list[tuple[str, ...]]]] = {
    "full": ((), [ALL] * 3),
    "scratch": (("model.weights=nowhere",), [ALL] * 3),
    "layer_decay": ((), [ALL] * 3),
    "linear_probe": ((), [ALL[4:]] * 3),
    "freeze_depth": (("transfer.depth=-2",), [ALL[2:]] * 3),
    "freeze_until": (("transfer.until=hidden.1",), [ALL[3:]] * 3),
    "gradual": ((), [ALL[4:], ALL[3:], ALL[2:]]),
    "head_then_full": (("transfer.probe_epochs=2",), [ALL[4:], ALL[4:], ALL]),
}


@pytest.mark.parametrize("name", RUNS)
def test_in_every_epoch_just_the_trained_parameters_move(name: str, make_run: MakeRun, tmp_path: Path) -> None:
    overrides, trained = RUNS[name]
    run, _, moved = watched(make_run, tmp_path / "run", f"transfer={name}", *overrides)
    assert moved == [below("lenet5", *modules) for modules in trained]
    assert run.freezing.digest() == run.progress.hash_start


@pytest.mark.parametrize("transfer_", ["gradual", "head_then_full"])
def test_statistics_move_from_the_epoch_on_in_which_their_stage_is_trained(
    transfer_: str, make_run: MakeRun, tmp_path: Path
) -> None:
    keys = ("transfer.probe_epochs=1",) if transfer_ == "head_then_full" else ()
    _, _, moved = watched(
        make_run,
        tmp_path / "run",
        "model=resnet20",
        "data.image_size=8",
        "trainer.epochs=2",
        f"transfer={transfer_}",
        *keys,
    )
    stages = {name.partition(".")[0] for name in moved[1]}
    assert {name.partition(".")[0] for name in moved[0]} == {"classifier"}
    assert (
        stages == {"stage3", "classifier"}
        if transfer_ == "gradual"
        else {"stem", "stage1", "stage2", "stage3", "classifier"}
    )
    assert "stage3.2.bn2.running_mean" in moved[1]


def test_the_rates_of_layer_decay_are_those_of_its_layers(make_run: MakeRun, tmp_path: Path) -> None:
    overrides = ("transfer=layer_decay", "transfer.decay=0.5", "transfer.head_lr_multiplier=3", "optim.lr=0.1")
    _, watch, _ = watched(make_run, tmp_path / "run", *overrides)
    by_hand = dict(zip(LENET5, [0.00625, 0.0125, 0.025, 0.05, 0.3], strict=True))
    expected = {name: rate for module, rate in by_hand.items() for name in below("lenet5", module)}
    for rates in watch.rates:
        assert rates == pytest.approx(expected)
    assert watch.shown == pytest.approx([0.05] * 3)


def test_the_rate_falls_with_the_change_to_full_on_top_of_the_schedule(make_run: MakeRun, tmp_path: Path) -> None:
    overrides = (
        "transfer=head_then_full",
        "transfer.probe_epochs=1",
        "transfer.full_lr_multiplier=0.2",
        "optim.lr=0.1",
    )
    _, watch, _ = watched(make_run, tmp_path / "run", *overrides, "schedule=multistep", "schedule.milestones=[2]")
    assert watch.shown == pytest.approx([0.1, 0.02, 0.002])
    assert all(rate == pytest.approx(0.002) for rate in watch.rates[2].values())


def test_a_resume_with_another_policy_keeps_each_parameters_momentum(make_run: MakeRun, tmp_path: Path) -> None:
    before, _, _ = watched(make_run, tmp_path / "run", "transfer=full")
    after = make_run("transfer=layer_decay", "model.pretrained=false", "schedule=constant")
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    assert len(before.optimizer.param_groups) == 1
    assert [len(group["params"]) for group in after.optimizer.param_groups] == [2] * 5
    momentum = {id(p): state["momentum_buffer"] for p, state in before.optimizer.state.items()}
    old, new = dict(before.model.named_parameters()), dict(after.model.named_parameters())
    for name, parameter in new.items():
        assert torch.equal(after.optimizer.state[parameter]["momentum_buffer"], momentum[id(old[name])]), name


def test_these_runs_are_all_policies() -> None:
    """A policy without a run here has its own test file, named after it."""
    for name in POLICIES:
        assert name in RUNS or list(Path(__file__).parent.rglob(f"test_{name}.py")), name
    assert isinstance(transfer("head_then_full"), HeadThenFull)

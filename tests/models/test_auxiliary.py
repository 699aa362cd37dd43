"""Auxiliary heads in whole runs: they train beside the network, and are gone wherever it does not train."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import redirect_stdout
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from composing import composed
from slow import slow_if
from timm.models import group_parameters
from torch import Tensor, nn

from cnntrain.build import weights
from cnntrain.commands.eval import Eval
from cnntrain.commands.summary import Summary
from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.core.digest import digest
from cnntrain.core.errors import InputError
from cnntrain.models import auxiliary, inception_v3, registry
from cnntrain.models.create import create
from cnntrain.models.inception_v3 import SIDE
from cnntrain.runs import checkpoint
from cnntrain.runs.report import Moment, Report
from cnntrain.study.anatomy import layers
from cnntrain.study.figures import figures
from cnntrain.training import loop
from cnntrain.transfer.base import Transfer
from cnntrain.transfer.freezing import Freezing
from cnntrain.transfer.groups import coarse_groups

MakeRun = Callable[..., Any]
# name -> its heads and the stages that they read, pixels of a small image
NETS = {
    "googlenet": ({"aux.0": "inception4a", "aux.1": "inception4d"}, 32),
    "tv_googlenet": ({"aux1": "inception4a", "aux2": "inception4d"}, 32),
    "inception_v3": ({"AuxLogits": "Mixed_6e"}, 75),
}
FAKE = ("data=fake", "data.num_classes=7", "trainer.device=cpu")  # as `configure` has it
AUX = "model.args.aux_logits=true"
SMALL = ("data.train_size=8", "data.val_size=4", "data.test_size=4", "data.batch_size=4", "trainer.epochs=2")
GOOGLENET = ("model=googlenet", "data.image_size=32", *SMALL, "optim.lr=0.01")
INCEPTION = ("model=inception_v3", "data.image_size=75", *SMALL, "optim.lr=0.01")
every = pytest.mark.parametrize("name", NETS)
one = pytest.mark.parametrize("name", slow_if(("tv_googlenet", "inception_v3"), NETS))  # the others are as dear


def built(name: str, aux_logits: bool = True, classes: int = 3) -> nn.Module:
    return deepcopy(_built(name, aux_logits, classes, torch.get_default_device()))


@lru_cache(maxsize=6)  # drawing the weights of an Inception takes longer than to copy it
def _built(name: str, aux_logits: bool, classes: int, device: torch.device) -> nn.Module:
    torch.manual_seed(0)
    return create(name, classes, 3, None, {"aux_logits": aux_logits}, pretrained=False)


def images(name: str, count: int = 2) -> Tensor:
    side = NETS[name][1]
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def state(model: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """The names of the parameters and buffers that differ, up to their third part."""
    return {key for key in before if not torch.equal(before[key], after[key])}


# what is trained


@every
def test_a_head_is_frozen_with_the_stage_that_it_reads(name: str) -> None:
    with torch.device("meta"):
        groups, without = coarse_groups(built(name)), coarse_groups(built(name, aux_logits=False))
    assert len(groups) == len(without)  # transfer.depth counts the same groups with heads and without
    assert groups[-1].parameters == without[-1].parameters
    holders = [{each.split(".")[0] for each in group.parameters} for group in groups]
    for path, stage in NETS[name][0].items():
        assert {stage, path.split(".")[0]} in holders


@every
def test_a_heads_learning_rate_does_not_decay_with_its_stages(name: str) -> None:
    with torch.device("meta"):
        model = built(name)
    numbers = group_parameters(model, model.group_matcher(coarse=False), reverse=True)
    classifier = max(number for key, number in numbers.items() if key.startswith(("fc.", "classifier.")))
    heads = tuple(f"{path}." for path in NETS[name][0])
    assert all(number >= classifier for key, number in numbers.items() if key.startswith(heads))


class Thaw(Transfer):
    """One group more in each epoch, from the last to the first."""

    def frozen(self, groups: Any, epoch: int) -> list[bool]:
        return [index < len(groups) - 1 - epoch for index in range(len(groups))]


@every
def test_a_head_runs_where_its_stage_learns(name: str) -> None:
    model = built(name)
    freezing = Freezing(model, Thaw("thaw", 1.0))
    stages = [group.name for group in freezing.groups[-2::-1]]
    expected = [next(i for i, each in enumerate(stages, 1) if each.startswith(s)) for s in NETS[name][0].values()]
    for epoch in range(len(stages) + 1):
        freezing.apply(epoch)
        freezing.train_mode()
        with torch.no_grad():
            outputs = model(images(name))
        running = sum(epoch >= thawed for thawed in expected)
        assert (1 if isinstance(outputs, Tensor) else len(outputs)) == 1 + running


@pytest.mark.no_cover
def test_a_probe_with_heads_is_the_probe_without(make_run: MakeRun, tmp_path: Path) -> None:
    overrides = (*GOOGLENET, "transfer=linear_probe", "model.pretrained=false")
    runs = {on: make_run(*overrides, *([AUX] if on else []), folder=tmp_path / f"heads-{on}") for on in (False, True)}
    before = state(runs[True].model)
    for run in runs.values():
        assert run.fit() == loop.FINISHED
    after, alone = (state(runs[on].model) for on in (True, False))
    assert moved(before, after) == {"classifier.weight", "classifier.bias"}
    assert all(torch.equal(after[key], alone[key]) for key in alone)
    assert runs[True].freezing.digest() == runs[True].progress.hash_start


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("depth", "trained"),
    [
        (5, {"aux.1"}),
        (8, set()),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in ((-1, set()), (0, {"aux.0", "aux.1"}))),
    ],
)
def test_depth_decides_which_heads_train(make_run: MakeRun, depth: int, trained: set[str], tmp_path: Path) -> None:
    overrides = (*GOOGLENET, AUX, "transfer=freeze_depth", f"transfer.depth={depth}", "model.pretrained=false")
    run = make_run(*overrides, "trainer.epochs=1", folder=tmp_path / "run")
    before = state(run.model)
    assert run.fit() == loop.FINISHED
    changed = moved(before, state(run.model))
    assert {path for path in NETS["googlenet"][0] if any(key.startswith(f"{path}.") for key in changed)} == trained
    assert changed.isdisjoint(run.freezing.frozen_parameters())
    assert "classifier.weight" in changed and run.freezing.digest() == run.progress.hash_start


@pytest.mark.no_cover
@pytest.mark.parametrize("policy", slow_if(["full"], ["full", "linear_probe"]))
def test_inceptions_head_is_frozen_to_its_statistics(policy: str, make_run: MakeRun) -> None:
    run = make_run(*INCEPTION, AUX, f"transfer={policy}", "model.pretrained=false", "trainer.epochs=1")
    before = state(run.model)
    assert run.fit() == loop.FINISHED
    changed = moved(before, state(run.model))
    own = {key for key in before if key.startswith("AuxLogits.")}
    assert own <= changed if policy == "full" else own.isdisjoint(changed)
    assert run.freezing.digest() == run.progress.hash_start


# on several processes, and resumed


def only_run(output: Path) -> Path:
    (path,) = output.glob("*/*/config.yaml")
    return path.parent


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "frozen", slow_if([()], [(), ("transfer=freeze_depth", "transfer.depth=5")], lambda words: "frozen" * bool(words))
)
def test_two_processes_train_heads_as_one_does(
    frozen: tuple[str, ...], configure: Callable[..., Train], ranks: Callable[..., Any], tmp_path: Path
) -> None:
    words = (
        *GOOGLENET, AUX, "model.pretrained=false", "trainer.precision=float64", "model.drop_rate=0",
        "model.args.aux_drop_rate=0", "augment=flip_crop", "trainer.clip_norm=1", "trainer.epochs=1", *frozen,
    )  # fmt: skip
    ranks(*FAKE, *words, f"output={tmp_path / 'two'}")
    assert replace(configure(*words), output=str(tmp_path / "one")).execute([]).code == 0
    one, other = (checkpoint.load(only_run(tmp_path / each) / checkpoint.LAST)["model"] for each in ("one", "two"))
    assert one.keys() == other.keys() and any(key.startswith("aux.1.") for key in one)
    assert max((one[key] - other[key]).abs().max().item() for key in one) <= 1e-10


@pytest.mark.slow
def test_inception_comes_through_on_two_processes(ranks: Callable[..., Any], tmp_path: Path, result_of: Any) -> None:
    """It takes its batch statistics by process, so that its weights are others."""
    ranks(*FAKE, *INCEPTION, AUX, "trainer.max_steps=1", f"output={tmp_path}")
    result = result_of(only_run(tmp_path))
    assert (result["status"], result["steps"]) == ("finished", 1)


class KilledError(Exception):
    """Stands for SIGKILL: nothing after it runs."""


class Kills(Report):
    """Kills the run after the second step of the second epoch, before that is saved."""

    def step_done(self, now: Moment, loss: Callable[[], float]) -> None:
        if (now.epoch, now.step_in_epoch) == (1, 2):
            raise KilledError


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "policy",  # frozen runs without heads are resumed in tests/training/test_run.py, too
    [("transfer=full",), pytest.param(("transfer=freeze_depth", "transfer.depth=5"), marks=pytest.mark.slow)],
    ids=str,
)
def test_a_killed_and_resumed_run_ends_with_the_same_bytes(
    policy: tuple[str, ...], make_run: MakeRun, tmp_path: Path
) -> None:
    overrides = (
        *GOOGLENET, AUX, *policy, "model.pretrained=false", "data.train_size=12", "checkpoint.every_steps=2",
        "augment=flip_crop",
    )  # fmt: skip
    straight = make_run(*overrides, "checkpoint.every_steps=null", folder=tmp_path / "straight")
    assert straight.fit() == loop.FINISHED

    killed = make_run(*overrides, folder=tmp_path / "killed")
    killed.report = Kills(killed.report.columns, killed.report.sinks)
    with pytest.raises(KilledError):
        killed.fit()
    resumed = make_run(*overrides, folder=tmp_path / "killed")
    assert (resumed.progress.step, resumed.progress.step_in_epoch) == (4, 1)
    assert resumed.fit() == loop.FINISHED
    for one, other in ((straight.model, resumed.model), (straight.optimizer, resumed.optimizer)):
        assert digest(one.state_dict()) == digest(other.state_dict())
    assert digest(straight.model.state_dict()) != digest(killed.model.state_dict())


# gone where nothing is trained


@every
def test_evaluation_gives_plain_logits_that_heads_do_not_change(name: str) -> None:
    with_heads, without = built(name).eval(), built(name, aux_logits=False).eval()
    paths = tuple(f"{path}." for path in NETS[name][0])
    shared = {key: value for key, value in with_heads.state_dict().items() if not key.startswith(paths)}
    without.load_state_dict(shared)
    assert torch.equal(with_heads(images(name)), without(images(name)))
    assert list(auxiliary.heads(with_heads)) == list(NETS[name][0]) and not auxiliary.heads(without)
    outputs = with_heads.train()(images(name))
    assert [output.shape for output in outputs] == [(2, 3)] * (1 + len(paths))
    assert isinstance(without.train()(images(name)), Tensor)


@pytest.mark.slow  # that removed heads are gone is below; an export for evaluation is in test_inceptions.py
@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_export_has_no_heads(name: str) -> None:
    model, without = built(name).eval(), built(name, aux_logits=False).eval()
    expected = model(images(name, 5))
    auxiliary.remove(model)
    batch = torch.export.Dim("batch", min=1, max=64)
    programs = [torch.export.export(net, (images(name),), dynamic_shapes=({0: batch},)) for net in (model, without)]
    calls = [[node.target for node in program.graph.nodes if node.op == "call_function"] for program in programs]
    assert calls[0] == calls[1] and programs[0].state_dict.keys() == programs[1].state_dict.keys()
    assert torch.equal(programs[0].module()(images(name, 5)), expected)


@every
def test_removed_heads_are_gone_from_training_too(name: str) -> None:
    model = built(name).train()
    assert not isinstance(model(images(name)), Tensor)
    auxiliary.remove(model)
    assert isinstance(model(images(name)), Tensor) and not auxiliary.heads(model)
    assert model.state_dict().keys() == built(name, aux_logits=False).state_dict().keys()


def test_timms_other_networks_are_left_alone() -> None:
    model = nn.Linear(2, 2)
    inception_v3.adapt(model)
    assert type(model) is nn.Linear and not auxiliary.heads(model)
    assert list(auxiliary.main_parameters(model)) == list(model.parameters())


def test_inceptions_head_is_timms_on_299_pixels() -> None:
    """And on larger images; smaller maps are stretched."""
    registry.register()
    torch.manual_seed(0)
    published = timm.create_model("inception_v3", num_classes=3, aux_logits=True).eval()
    model = built("inception_v3").eval()
    model.load_state_dict(published.state_dict(), strict=True)
    for side in (SIDE, SIDE + 3):
        inner = torch.randn(2, 768, side, side)
        assert torch.equal(model.AuxLogits(inner), published.AuxLogits(inner))
    for side in (1, 3, SIDE - 1):
        assert model.AuxLogits(torch.randn(2, 768, side, side)).shape == (2, 3)
    whole = published.forward_head(published.forward_postaux(published.forward_preaux(images("inception_v3"))))
    assert torch.equal(model(images("inception_v3")), whole)
    model.reset_classifier(5)
    model.train()
    assert [each.shape for each in model(images("inception_v3"))] == [(2, 5)] * 2


@pytest.mark.no_cover
@pytest.mark.parametrize("overrides", slow_if([INCEPTION], [GOOGLENET, INCEPTION], lambda each: each[0]))
def test_a_run_counts_and_tests_the_network_alone(
    overrides: tuple[str, ...], configure: Callable[..., Train], tmp_path: Path, result_of: Any
) -> None:
    assert configure(*overrides, AUX, "trainer.epochs=1").execute([]).code == 0
    place = only_run(tmp_path)
    result, name = result_of(place), overrides[0].removeprefix("model=")
    with torch.device("meta"):
        model, without = built(name, classes=7), built(name, aux_logits=False, classes=7)
    extra = sum(each.numel() for each in auxiliary.parameters(model))
    params = sum(each.numel() for each in without.parameters())
    macs = layers.multiply_adds(without, (3, NETS[name][1], NETS[name][1]))
    expected = {"params": params, "trainable_params": params, "auxiliary_params": extra, "macs": macs}
    assert result["model"] == {"name": name, **expected}
    assert extra == sum(each.numel() for each in model.parameters()) - params > 0

    assert check(composed([f"run={place}", "device=cpu", "pictures=false"], "eval"), Eval).execute([]).code == 0
    again = json.loads((place / "eval-fake-test/eval.json").read_text())
    assert {key: again[key] for key in result["test"]} == result["test"]


@pytest.mark.no_cover
@one
def test_a_summary_counts_the_network_alone(name: str) -> None:
    shown = {}
    for on in (False, True):
        typed = [f"model={name}", f"+model.args.aux_logits={on}", "format=json", "batch_size=4", "data=fake"]
        tree = composed([*typed, f"data.image_size={NETS[name][1]}"], "summary")
        with redirect_stdout(StringIO()) as out:
            check(tree, Summary).execute([])
        shown[on] = json.loads(out.getvalue())
    assert shown[True]["layers"] == shown[False]["layers"]
    totals, bare = shown[True]["totals"], shown[False]["totals"]
    with torch.device("meta"):
        model = built(name, classes=shown[True]["classes"])
    extra = sum(each.numel() for each in auxiliary.parameters(model))
    assert totals.pop("auxiliary_params") == extra > 0 and bare.pop("auxiliary_params") == 0
    memory, less = totals.pop("training_memory"), bare.pop("training_memory")
    assert totals == bare
    assert memory["momentum"] - less["momentum"] == 4 * extra and memory["activations"] > less["activations"]


@pytest.mark.no_cover
def test_the_table_of_models_counts_the_network_alone(look_in: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "configs" / "model"
    folder.mkdir(parents=True)
    text = "# Mine\ndefaults: [timm, _self_]\n\nname: inception_v3\nargs:\n  aux_logits: true\n"
    (folder / "mine.yaml").write_text(text)
    look_in(tmp_path / "configs")
    mine, plain_one = figures("mine"), figures("inception_v3")
    assert mine["params"] == plain_one["params"] == 23_834_568
    assert mine["macs"] == plain_one["macs"] and mine["depth"] == plain_one["depth"]


# weights from a file


@pytest.mark.no_cover
@one
def test_weights_load_with_heads_and_without(name: str) -> None:
    paths = tuple(f"{path}." for path in NETS[name][0])
    with_heads, without = built(name), built(name, aux_logits=False)
    for each in (with_heads, without):
        for parameter in each.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)
    body = {key for key in without.state_dict() if not key.startswith(("fc.", "classifier."))}
    cases = [
        (with_heads, False, 3),
        (without, True, 3),
        (with_heads, True, 3),
        (without, True, 5),
        (with_heads, True, 5),
    ]
    for source, on, classes in cases:
        target = built(name, aux_logits=on, classes=classes)
        before = state(target)
        weights.load(target, weights.Source(Path("x.pt"), source.state_dict()), [])
        after, given = target.state_dict(), source.state_dict()
        assert all(torch.equal(after[key], given[key]) for key in body)
        heads = [key for key in after if key.startswith(paths)]
        assert bool(heads) == on
        taken = source is with_heads and classes == 3
        outputs = [key for key in heads if after[key].shape[:1] == (classes,)]  # their last layers; new ones begin anew
        assert len(outputs) == 2 * on * len(paths)
        assert all(torch.equal(after[key], (given if taken else before)[key]) for key in heads if key not in outputs)
        assert all(torch.equal(after[key], given[key]) if taken else after[key].std() < 0.012 for key in outputs)


def test_a_damaged_head_is_named() -> None:
    given = built("googlenet").state_dict()
    given["aux.0.wrong"] = torch.zeros(1)
    with pytest.raises(InputError, match=r"aux\.0\.wrong is not in the model"):
        weights.load(built("googlenet"), weights.Source(Path("x.pt"), given), [])
    weights.load(built("googlenet", aux_logits=False), weights.Source(Path("x.pt"), given), [])

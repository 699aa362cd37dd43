"""Probes at every depth: the features that the papers name, each setting as if alone, and a table that val chose."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from composing import composed
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from slow import slow_if
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, adaptive_max_pool2d, cross_entropy

from cnntrain.build.run import build
from cnntrain.commands.eval import Eval
from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.config.groups import plugin_class
from cnntrain.config.schema import TrainConfig
from cnntrain.core.digest import digest
from cnntrain.core.errors import ConfigError, InputError, StopError
from cnntrain.data.batches.plan import train_plan
from cnntrain.models import registry
from cnntrain.runs import checkpoint
from cnntrain.runs.report import Moment, Report
from cnntrain.training import loop
from cnntrain.training.run import Run
from cnntrain.transfer.base import Finished
from cnntrain.transfer.freezing import Freezing
from cnntrain.transfer.frozen.cut import cut_off
from cnntrain.transfer.probing import references
from cnntrain.transfer.probing.probes import DepthFeatures, Probes

Configure = Callable[..., Train]
MakeRun = Callable[..., Any]

PROBE = (
    "transfer=probe_depths", "model.pretrained=false", "augment=none", "schedule=constant", "transfer.features=150",
    "transfer.lr_grid=[0.1,1.0]", "transfer.decay_grid=[0.0,3.0]", "transfer.cache=ram", "optim.weight_decay=0.01",
    "optim.lr=0.02",
)  # fmt: skip
GRID = [(0.1, 0.0), (0.1, 3.0), (1.0, 0.0), (1.0, 3.0)]
SIZES = [6 * 5 * 5, 16 * 3 * 3]  # of lenet5's two stages at about 150 features


def build_model(name: str, **kwargs: Any) -> nn.Module:
    registry.register()
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=3, **kwargs)


# the features


@pytest.mark.parametrize("name", ["alexnet", "alexnet_ungrouped"])
def test_alexnets_features_are_those_of_the_papers(name: str) -> None:
    with torch.device("meta"):
        found = DepthFeatures(build_model(name), torch.zeros(1, 3, 227, 227), 9600, "max")
        assert [tuple(each.shape) for each in found(torch.zeros(2, 3, 227, 227))] == [(2, size) for size in found.sizes]
    assert found.sizes == [9600, 9216, 9600, 9600, 9216]
    assert found.names == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert not any("hidden" in key or "classifier" in key for key in found.state_dict())


CUTS = {
    "alexnet": (67, {"img_size": 67}),
    "resnet18": (32, {}),
    "vgg11_bn": (32, {"mlp_ratio": 1 / 32}),
    "densenet121": (32, {}),
    "googlenet": (64, {}),
}


@pytest.mark.parametrize("name", slow_if(["densenet121"], CUTS))
def test_the_cut_is_the_pooled_features_and_nothing_else(name: str, configure: Configure) -> None:
    size, kwargs = CUTS[name]
    policy = configure(*PROBE, "model.pretrained=null", "transfer.features=600").transfer
    image = torch.zeros(1, 3, size, size)
    model = policy.prepare(build_model(name, **kwargs), image, lambda: build_model(name, **kwargs))
    assert isinstance(model, Probes)
    freezing = Freezing(model, policy)
    assert [group.name for group in freezing.groups] == ["backbone", "random", "head"]
    assert [freezing.names.issuperset(group.parameters) for group in freezing.groups] == [True, True, False]
    parts = cut_off(model, freezing.train_mode, torch.randn(2, 3, size, size))
    assert parts is not None
    assert [tuple(shape) for shape in parts.shapes] == [(each.features,) for each in model.probed]
    behind = {str(node.target) for node in parts.train_graph.nodes if node.op == "call_module"}
    assert behind == {f"heads.{number}.norm" for number in range(len(model.probed))}


@pytest.mark.parametrize(("pool", "reference"), [("max", adaptive_max_pool2d), ("avg", adaptive_avg_pool2d)])
def test_features_are_the_pooled_outputs_of_the_stages(pool: str, reference: Callable[..., Tensor]) -> None:
    net, images = build_model("resnet18").eval(), torch.randn(2, 3, 96, 64)
    maps: dict[str, Tensor] = {}
    for name in ("act1", "layer1", "layer2", "layer3", "layer4"):
        net.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: maps.update({name: out.clone()}))
    net(images)
    # the last two maps are smaller than 9600 values allow
    sides = {"act1": (12, 12), "layer1": (12, 12), "layer2": (8, 8), "layer3": (6, 4), "layer4": (3, 2)}
    probed = DepthFeatures(net, images[:1], 9600, pool)
    assert probed.names == list(sides)
    for each, (name, side) in zip(probed(images), sides.items(), strict=True):
        assert torch.equal(each, reference(maps[name], side).flatten(1)), name


def test_a_network_whose_stages_timm_does_not_give_is_refused() -> None:
    with pytest.raises(ConfigError, match="timm does not give the stages of Linear"):
        DepthFeatures(nn.Linear(2, 2), torch.zeros(1, 2), 10, "max")


# each setting as if alone


def features_of(run: Any, part: str) -> tuple[list[Tensor], Tensor]:
    images = torch.cat([batch.inputs for batch in run.loaders.eval_batches(part)])
    with torch.no_grad():
        return run.model.eval().features(images), torch.from_numpy(getattr(run.data, part).labels)


@pytest.mark.parametrize(
    "extra",
    [
        (),
        ("optim=adamw", "optim.decay_norms_and_biases=true", "trainer.precision=float64"),
        ("trainer.label_smoothing=0.2",),
    ],
)
@pytest.mark.parametrize("normalize", ["true", "false"])
def test_a_setting_of_the_bank_is_trained_as_a_single_classifier_is(
    normalize: str, extra: tuple[str, ...], make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run(*PROBE, f"transfer.normalize={normalize}", *extra, folder=tmp_path / "run")
    before = {key: value.clone() for key, value in run.model.backbone.state_dict().items()}
    features, labels = features_of(run, "train")
    assert [each.shape[1] for each in features] == SIZES
    assert run.fit() == loop.FINISHED
    assert [tuple(each.shape) for each in run.phase.train.held.tensors] == [(48, size) for size in SIZES]
    assert all(torch.equal(value, before[key]) for key, value in run.model.backbone.state_dict().items())
    optim, smoothing = run.config.optim, run.config.trainer.label_smoothing
    kinds = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}
    more = {"momentum": 0.9} if optim.name == "sgd" else {"betas": (0.9, 0.999)}
    for depth, inputs in enumerate(features):
        for number, (rate, decay) in enumerate(GRID):
            linear = nn.Linear(inputs.shape[1], 7, dtype=inputs.dtype)
            nn.init.zeros_(linear.weight), nn.init.zeros_(linear.bias)
            norm = (
                nn.BatchNorm1d(inputs.shape[1], 1e-8, affine=False, dtype=inputs.dtype)
                if normalize == "true"
                else nn.Identity()
            )
            alone = nn.Sequential(norm, linear)
            settings = {"lr": optim.lr * rate, "weight_decay": optim.weight_decay * decay}
            optimizer = kinds[optim.name](alone.parameters(), **settings, **more)
            for epoch in range(3):
                for rows in train_plan(run.loaders.steps, 0, epoch, run.loaders.share):
                    cross_entropy(alone(inputs[rows]), labels[rows], label_smoothing=smoothing).backward()
                    optimizer.step()
                    optimizer.zero_grad()
            bank = run.model.heads[depth]
            torch.testing.assert_close(bank.weights[number], linear.weight, rtol=0, atol=1e-6)
            torch.testing.assert_close(bank.biases[number], linear.bias, rtol=0, atol=1e-6)


def test_a_standardised_feature_is_judged_by_its_mean_over_all_batches(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(*PROBE, folder=tmp_path / "run")
    features, _ = features_of(run, "train")
    run.fit()
    for bank, inputs in zip(run.model.heads, features, strict=True):
        torch.testing.assert_close(bank.norm.running_mean, inputs.mean(0), rtol=1e-4, atol=1e-5)


def test_a_setting_that_diverges_leaves_the_others_as_they_are(make_run: MakeRun, tmp_path: Path) -> None:
    grids = {"calm": "[0.1,1.0]", "wild": "[0.1,1.0,1e38]"}
    runs = {}
    for name, grid in grids.items():
        runs[name] = make_run(*PROBE, f"transfer.lr_grid={grid}", folder=tmp_path / name)
        assert runs[name].fit() == loop.FINISHED
    for calm, wild in zip(runs["calm"].model.heads, runs["wild"].model.heads, strict=True):
        assert not wild.weights[-1].isfinite().all()
        for number in range(4):
            torch.testing.assert_close(wild.weights[number], calm.weights[number], rtol=0, atol=1e-6)
    found = runs["wild"].judged("val")
    assert not math.isfinite(found.per_setting[5]["loss"])
    assert math.isfinite(found["loss"])
    assert found["setting"] not in (5, 11)


def test_the_rates_and_decays_of_the_grid(make_run: MakeRun) -> None:
    run = make_run(*PROBE, "transfer.head_lr_multiplier=2", "optim.decay_norms_and_biases=false")
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in run.optimizer.param_groups
        for name in group["param_names"]
        if name.startswith("heads.1.")
    }
    weights = {f"heads.1.weights.{n}": (0.04 * lr, 0.01 * decay) for n, (lr, decay) in enumerate(GRID)}
    biases = {f"heads.1.biases.{n}": (0.04 * lr, 0.0) for n, (lr, _) in enumerate(GRID)}
    assert found.keys() == weights.keys() | biases.keys()
    for name, expected in (weights | biases).items():
        assert found[name] == pytest.approx(expected), name
    assert run.step.rate() == 0.02  # shown: that of the configuration


# an interrupted run, and several processes


class KilledError(Exception):
    """Stands for SIGKILL."""


class Interrupted(Report):
    def __init__(self, run: Any, kill_at: int):
        super().__init__(run.report.columns)
        self.progress = run.progress
        self.kill_at = kill_at

    def step_done(self, now: Moment, loss: Callable[[], float]) -> None:
        if self.progress.step == self.kill_at:
            raise KilledError


def test_a_killed_and_resumed_run_ends_with_the_same_bytes(make_run: MakeRun, tmp_path: Path, metrics_of: Any) -> None:
    overrides = (*PROBE, "checkpoint.every_steps=1", "trainer.ema_decay=0.7", "trainer.grad_accum=2")
    make_run(*overrides, folder=tmp_path / "straight").fit()
    for kill_at in (2, 4):
        run = make_run(*overrides, folder=tmp_path / "killed")
        inner, run.report = run.report, Interrupted(run, kill_at)
        with pytest.raises(KilledError):
            run.fit()
        inner.close()
    sums = checkpoint.load(tmp_path / "killed" / checkpoint.LAST)["progress"]["sums"]
    assert sums is None or len(sums) == 4 * 2 * len(GRID)
    run = make_run(*overrides, folder=tmp_path / "killed")
    assert run.fit() == loop.FINISHED
    one, other = (checkpoint.load(tmp_path / name / checkpoint.LAST) for name in ("straight", "killed"))
    for key in ("model", "ema", "optimizer"):
        assert digest(one[key]) == digest(other[key]), key
    assert one["progress"]["best"] == other["progress"]["best"]
    assert metrics_of(tmp_path / "straight")[-1] == metrics_of(tmp_path / "killed")[-1]


def only_run(output: Path) -> Path:
    (path,) = output.glob("*/*/config.yaml")
    return path.parent


def test_two_processes_do_what_one_does_even_where_one_has_nothing_to_validate(
    configure: Configure, ranks: Callable[..., Any], tmp_path: Path, result_of: Any
) -> None:
    words = (
        "model=lenet5", "data.train_size=32", "data.val_size=1", "data.test_size=9", "data.num_classes=7",
        "data.batch_size=8", "trainer.device=cpu", "trainer.epochs=2", "trainer.precision=float64", *PROBE,
        "transfer.normalize=false",
    )  # fmt: skip
    assert configure(*words).execute([]).code == 0
    assert ranks("data=fake", *words, f"output={tmp_path / 'two'}").stderr == ""
    places = only_run(tmp_path), only_run(tmp_path / "two")
    one, other = (checkpoint.load(place / checkpoint.LAST)["model"] for place in places)
    assert max((one[key] - other[key]).abs().max().item() for key in one) <= 1e-10
    results = [result_of(place) for place in places]
    assert results[0]["probes"] == results[1]["probes"]
    assert results[0]["frozen"] == results[1]["frozen"]


# what comes of it


def draw(root: Path, count: int) -> None:
    """Two classes that differ by noise's grain, which random convolutions tell apart and not perfectly."""
    for split_name, size in (("train", count), ("val", count), ("test", count + 1)):
        for label, grain in (("coarse", 8), ("fine", 4)):
            for number in range(size):
                noise = np.random.default_rng([number, grain, size]).integers(0, 256, (32 // grain, 32 // grain, 3))
                image = noise.repeat(grain, 0).repeat(grain, 1)
                image = np.clip(image + np.random.default_rng([number, size]).integers(-90, 90, image.shape), 0, 255)
                path = root / split_name / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.astype(np.uint8)).save(path)


@pytest.fixture
def weights(make_run: MakeRun, tmp_path: Path) -> Path:
    """A checkpoint of lenet5 to take the body from."""
    run = make_run("trainer.epochs=1", folder=tmp_path / "source")
    run.fit()
    return tmp_path / "source" / checkpoint.BEST


@pytest.fixture
def probed(configure: Configure, weights: Path, tmp_path: Path) -> Path:
    """The folder of a run that probed every depth."""
    draw(tmp_path / "set", 12)
    words = [each for each in PROBE if not each.startswith("model.pretrained")]
    settings = configure(*words, f"model.weights={weights}", "trainer.epochs=6", "transfer.references=[knn,logistic]",
                         "transfer.neighbors=3", "name=probed")  # fmt: skip
    sizes = ("data.image_size=32", "data.batch_size=8", "data.num_workers=0")
    tree = composed(["data=imagefolder", f'data.root="{tmp_path / "set"}"', *sizes])["data"]
    ended = replace(settings, data=plugin_class("data", "imagefolder")(**tree)).execute([])
    assert ended.code == 0
    return Path(str(ended.made))


def loaded(place: Path, name: str) -> Run:
    """The run with the weights of a checkpoint."""
    state = checkpoint.load(place / name)
    run = build(check(state["config"], TrainConfig), state)
    run.state.model.eval()
    return run


@torch.no_grad()
def accuracies(run: Run, part: str) -> list[tuple[float, float]]:
    """By scikit-learn: each setting's top-1, and its loss to choose by among equals."""
    images = torch.cat([batch.inputs for batch in run.loaders.eval_batches(part)])
    labels = torch.from_numpy(getattr(run.data, part).labels)
    return [
        (accuracy_score(labels, logits.argmax(1)), -cross_entropy(logits, labels).item())
        for logits in run.state.model(images)
    ]


def test_the_table_is_of_the_settings_that_val_chose_over_exactly_the_test_images(probed: Path, result_of: Any) -> None:
    place, rows = probed, result_of(probed)["probes"]
    shown = (place / "train.log").read_text()
    assert [(row["depth"], row["features"]) for row in rows] == [("conv1", 150), ("conv2", 144)]
    run = loaded(place, checkpoint.LAST)
    val, test = accuracies(run, "val"), accuracies(run, "test")
    assert len(run.data.test) == 26
    bank = 0
    for series in ("probe", "random_weights"):
        for row in rows:
            mine = slice(bank * len(GRID), (bank + 1) * len(GRID))
            best = max(range(len(GRID)), key=lambda number, mine=mine: val[mine][number])
            lr, decay = GRID[best]
            assert row[series] == pytest.approx(
                {"lr": 0.02 * lr, "weight_decay": 0.01 * decay, "val_top1": val[mine][best][0],
                 "test_top1": test[mine][best][0]}
            ), (series, row["depth"])  # fmt: skip
            assert f"{row[series]['test_top1']:.2%}" in shown
            bank += 1
    # the choice matters here: by test itself another setting would have been chosen somewhere
    choices = [slice(n * len(GRID), (n + 1) * len(GRID)) for n in range(bank)]
    assert any(max(test[each]) > test[each][val[each].index(max(val[each]))] for each in choices)
    with Image.open(place / "probes.png") as plot:
        assert plot.size[0] > 300


def test_the_runs_own_test_and_an_evaluation_are_of_the_setting_that_val_chose(probed: Path, result_of: Any) -> None:
    place, result, run = probed, result_of(probed), loaded(probed, checkpoint.BEST)
    val, test = accuracies(run, "val"), accuracies(run, "test")
    chosen = val.index(max(val))
    assert result["test"]["setting"] == chosen
    assert result["test"]["top1"] == pytest.approx(test[chosen][0])
    assert result["test"]["loss"] == pytest.approx(-test[chosen][1], rel=1e-5)
    assert result["best"]["val/top1"] == pytest.approx(val[chosen][0])
    assert check(composed([f"run={place}", "device=cpu", "pictures=false"], "eval"), Eval).execute([]).code == 0
    (written,) = place.glob("eval-*-test/eval.json")
    again = json.loads(written.read_text())
    assert {name: again[name] for name in result["test"]} == result["test"]


def test_before_the_first_validation_there_is_nothing_to_evaluate(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(*PROBE, "checkpoint.every_steps=1", folder=tmp_path / "run")
    run.report = Interrupted(run, 2)
    with pytest.raises(KilledError):
        run.fit()
    path = tmp_path / "run" / checkpoint.LAST
    with pytest.raises(InputError, match="no validation yet, which chooses among its settings"):
        check(composed([f"checkpoint={path}", "device=cpu"], "eval"), Eval).execute([])


def test_the_references_are_scikit_learns_on_the_same_features(probed: Path, result_of: Any) -> None:
    place, shown = probed, (probed / "train.log").read_text()
    run, rows = loaded(place, checkpoint.LAST), result_of(place)["probes"]
    assert "kNN test" in shown
    assert "logistic test" in shown
    parts = {part: features_of_all(run, part) for part in ("train", "val", "test")}
    for depth, row in enumerate(rows):
        data = {part: (features[depth], labels) for part, (features, labels) in parts.items()}
        nearest = KNeighborsClassifier(3, metric="cosine", algorithm="brute").fit(*data["train"])
        scaler = StandardScaler().fit(data["train"][0])
        scaled = {part: (scaler.transform(features), labels) for part, (features, labels) in data.items()}
        regressions = {
            strength: LogisticRegression(C=strength, max_iter=references.ITERATIONS).fit(*scaled["train"])
            for strength in references.STRENGTHS
        }
        strength = max(regressions, key=lambda each: (regressions[each].score(*scaled["val"]), -each))
        assert row["logistic"]["C"] == strength
        assert row["logistic"]["converged"]
        for part in ("val", "test"):
            assert row["knn"][f"{part}_top1"] == nearest.score(*data[part])
            assert row["logistic"][f"{part}_top1"] == regressions[strength].score(*scaled[part])


def test_a_signal_stops_the_references(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(*PROBE, folder=tmp_path / "run")

    def judge(times: int) -> list[dict[str, Any]]:
        """With a signal after so many times that none has come."""
        calls = count()

        def heed() -> None:
            if next(calls) >= times:
                raise StopError

        finished = Finished(
            model=run.model, parts=["val", "test"], judge=lambda part: [], batches=run.eval_batches,
            once=lambda make: make(), heed=heed, say=print, folder=tmp_path, val="val", majority={},
            lr=0.02, weight_decay=0.01,
        )  # fmt: skip
        return references.judge(finished, ["knn"], 3)

    every = 3 + 1 + 1 + len(SIZES)  # the batches of train, val and test, and the classifiers
    for times in range(every):
        with pytest.raises(StopError):
            judge(times)
    assert len(judge(every)) == len(SIZES)


@torch.no_grad()
def features_of_all(run: Run, part: str) -> tuple[list[np.ndarray], np.ndarray]:
    """One image at a time would round otherwise, and ties are many: batches as the run's."""
    batches = [run.state.model.features(batch.inputs) for batch in run.loaders.eval_batches(part)]
    depths = [torch.cat(each).numpy() for each in zip(*batches, strict=True)]
    return depths[: len(depths) // 2], getattr(run.data, part).labels


def test_the_random_weights_are_not_the_models_and_a_random_model_has_none_beside_it(
    configure: Configure, make_run: MakeRun, weights: Path
) -> None:
    words = [each for each in PROBE if not each.startswith("model.pretrained")]
    run = make_run(*words, f"model.weights={weights}")
    source = checkpoint.load(weights)["model"]
    assert torch.equal(run.model.backbone.net.conv1[0].weight, source["conv1.0.weight"])
    assert not torch.equal(run.model.random.net.conv1[0].weight, source["conv1.0.weight"])
    assert run.model(torch.zeros(2, 3, 32, 32)).shape == (16, 2, 7)
    assert make_run(*PROBE).model.random is None
    assert make_run(*words, f"model.weights={weights}", "transfer.random_weights=false").model.random is None


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("lr_grid=[]", "transfer.lr_grid must have one number or more, each once, not []"),
        ("lr_grid=[0.0,1.0]", "transfer.lr_grid=[0.0, 1.0] must be a list whose items are each a number above 0"),
        ("decay_grid=[-1]", "transfer.decay_grid=[-1] must be a list whose items are each a number at least 0"),
        ("decay_grid=[1,1]", "transfer.decay_grid must have one number or more, each once, not [1.0, 1.0]"),
        ("references=[svm]", "transfer.references can be knn and logistic, not svm"),
        ("features=0", "transfer.features=0 must be an integer at least 1"),
        ("neighbors=0", "transfer.neighbors=0 must be an integer at least 1"),
        ("pool=sum", "transfer.pool=sum must be one of max, avg"),
    ],
)
def test_limits(key: str, message: str, configure: Configure) -> None:
    with pytest.raises(ConfigError) as caught:
        configure("transfer=probe_depths", f"transfer.{key}")
    assert str(caught.value) == message


@pytest.mark.parametrize("key", ["clip_norm=1", "precision=float16"])
def test_what_would_tie_the_settings_together_is_refused(key: str, configure: Configure) -> None:
    with pytest.raises(ConfigError, match="trains networks side by side"):
        configure("transfer=probe_depths", f"trainer.{key}")


def test_an_unprepared_model_is_probed_at_its_classifier(configure: Configure) -> None:
    policy, model = configure("transfer=probe_depths").transfer, build_model("lenet5")
    assert policy.decay_multipliers(model) == {}
    assert set(policy.rate_multipliers(model, set()).values()) == {1.0}

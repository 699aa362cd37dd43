"""Runs that make images: killed and resumed, on two processes, evaluated, used, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from composing import composed
from PIL import Image
from safetensors.torch import save_file

from cnntrain.build.comparing import Features
from cnntrain.commands.diagnose import Diagnose
from cnntrain.commands.embed import Embed
from cnntrain.commands.eval import Eval
from cnntrain.commands.explain import Explain
from cnntrain.commands.lr_find import LrFind
from cnntrain.commands.predict import Predict
from cnntrain.commands.report import Report as Page
from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.core import plain_json
from cnntrain.core.digest import digest
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.runs import checkpoint
from cnntrain.runs.report import Moment, Report
from cnntrain.training import loop

WORDS = (
    "task=generate", "task.samples=40", "data=fake", "data.train_size=24", "data.val_size=9", "data.test_size=5",
    "data.image_size=16", "data.channels=1", "model=dcgan", "model.args.width=4", "model.args.latent=6",
    "recipe=dcgan2016", "optim.lr=0.0002", "data.batch_size=8", "trainer.device=cpu", "trainer.epochs=2",
    "report.html=false",
)  # fmt: skip


def trained_run(*words: str) -> Path:
    return Path(str(check(composed((*WORDS, *words)), Train).execute([]).made))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_run(f"output={tmp_path_factory.mktemp('run')}")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = ("data=fake", "data.train_size=24", "data.val_size=9", "data.test_size=0", "data.channels=1",
             "model=lenet5", "trainer.device=cpu", "trainer.epochs=1", "report.html=false")  # fmt: skip
    output = f"output={tmp_path_factory.mktemp('classifier')}"
    return Path(str(check(composed((*words, output)), Train).execute([]).made))


def command(name: str, kind: Any, *words: str) -> Any:
    return check(composed((*words, "device=cpu"), name), kind).execute([])


def of_best(run: Path) -> dict[str, Any]:
    best: dict[str, Any] = plain_json.read((run / "result.json").read_bytes(), dict)["best"]
    return best


def test_an_epoch_leaves_a_sheet_and_an_evaluation_finds_what_the_run_found(run: Path) -> None:
    assert sorted(each.name for each in (run / "samples").iterdir()) == ["epoch_001.png", "epoch_002.png"]
    made = Path(str(command("eval", Eval, f"run={run}", "part=val").made))
    found = plain_json.read((made / "eval.json").read_bytes(), dict)
    best = of_best(run)
    for name in ("pixel_distance", "loss_d", "loss_g", "loss"):
        assert found[name] == pytest.approx(best[f"val/{name}"], rel=1e-6)
    check(composed((f"runs={run}",), "report"), Page).execute([])
    page = (run / "report.html").read_text()
    assert page.count('<img class="small" src="data:image/png;base64,') == 2 and "there are no" not in page
    assert f"pixels {best['val/pixel_distance']:.4f} on val" in page and "of 40 made images" in page
    assert found["count"] == 9 and (made / "samples.png").read_bytes() == sheet_of(run, best["epoch"])


def sheet_of(run: Path, epoch: float) -> bytes:
    return (run / "samples" / f"epoch_{epoch:03.0f}.png").read_bytes()


def test_images_are_made_of_their_numbers(run: Path, tmp_path: Path) -> None:
    for name, count in (("few", 3), ("more", 11)):
        assert command("predict", Predict, f"run={run}", f"samples={count}", f"output={tmp_path / name}").code == 0
    few, more = (sorted((tmp_path / name).glob("0*.png")) for name in ("few", "more"))
    assert [each.name for each in few] == ["00001.png", "00002.png", "00003.png"] and len(more) == 11
    for one, other in zip(few, more, strict=False):
        with Image.open(one) as a, Image.open(other) as b:
            assert a.size == (16, 16) and a.mode == "L"
            assert np.abs(np.array(a, np.int16) - np.array(b, np.int16)).max() <= 1  # of another batch
    with Image.open(tmp_path / "more" / "samples.png") as sheet:
        assert sheet.size == (3 * 17 + 1, 4 * 17 + 1)
    with pytest.raises(InputError, match="is there already"):
        command("predict", Predict, f"run={run}", "samples=2", f"output={tmp_path / 'few'}")


class KilledError(Exception):
    """Stands for SIGKILL."""


class Interrupted(Report):
    def __init__(self, trial: Any, kill_at: int):
        super().__init__(trial.report.columns, trial.report.sinks)
        self.progress, self.kill_at = trial.progress, kill_at

    def step_done(self, now: Moment, loss: Callable[[], float]) -> None:
        super().step_done(now, loss)
        if self.progress.step == self.kill_at:
            raise KilledError


@pytest.mark.parametrize("more", [(), ("trainer.grad_accum=2", "trainer.ema_decay=0.8", "trainer.label_smoothing=0.1")])
def test_a_killed_and_resumed_run_ends_with_the_same_bytes(
    make_run: Callable[..., Any], tmp_path: Path, metrics_of: Any, more: tuple[str, ...]
) -> None:
    words = (*WORDS, "checkpoint.every_steps=1", *more)
    assert make_run(*words, folder=tmp_path / "straight").fit() == loop.FINISHED
    for kill_at in (2, 4, 5):  # 3 steps an epoch
        trial = make_run(*words, folder=tmp_path / "killed")
        trial.report = Interrupted(trial, kill_at)
        with pytest.raises(KilledError):
            trial.fit()
        trial.report.close()
    assert make_run(*words, folder=tmp_path / "killed").fit() == loop.FINISHED
    for name in (checkpoint.LAST, checkpoint.BEST):
        one, other = (checkpoint.load(tmp_path / each / name) for each in ("straight", "killed"))
        assert all(digest(one[key]) == digest(other[key]) for key in ("model", "ema", "optimizer"))
    assert metrics_of(tmp_path / "straight") == metrics_of(tmp_path / "killed")


def test_the_discriminator_may_have_a_rate_of_its_own(make_run: Callable[..., Any]) -> None:
    trial = make_run(*WORDS, "transfer.head_lr_multiplier=4")
    rates = {name: group["lr"] for group in trial.run.state.optimizer.param_groups for name in group["param_names"]}
    assert {name.split(".")[0]: rate for name, rate in rates.items()} == {
        "generator": pytest.approx(0.0002), "discriminator": pytest.approx(0.0008)
    }  # fmt: skip


def test_two_processes_evaluate_as_one_does(ranks: Callable[..., Any], tmp_path: Path) -> None:
    """With the statistics of the first, by which a part of fewer images than processes is judged, too."""
    words = (*WORDS, "trainer.precision=float64", "data.test_size=1")
    ranks(*words, f"output={tmp_path}")
    (run,) = tmp_path.glob("*/*")
    result = json.loads((run / "result.json").read_text())
    assert result["status"] == "finished" and len([*(run / "samples").iterdir()]) == 2
    for part, found in (
        ("val", {k.removeprefix("val/"): v for k, v in result["best"].items()}),
        ("test", result["test"]),
    ):
        command("eval", Eval, f"run={run}", f"part={part}")
        alone = json.loads((run / f"eval-fake-{part}" / "eval.json").read_text())
        for name in ("loss_d", "loss_g", "loss", *(["pixel_distance"] if part == "val" else [])):
            assert found[name] == pytest.approx(alone[name], rel=1e-9)


def test_features_of_a_classifier_give_the_fid(classifier: Path, tmp_path: Path) -> None:
    made = trained_run(f"task.features={classifier}", f"output={tmp_path}")
    assert of_best(made)["val/fid"] > 0
    found = plain_json.read((made / "result.json").read_bytes(), dict)
    assert [each["name"] for each in found["task"]["columns"]] == ["fid", "loss_d", "loss_g", "loss"]
    again = plain_json.read(
        (Path(str(command("eval", Eval, f"run={made}", "part=val").made)) / "eval.json").read_bytes(), dict
    )
    assert again["fid"] == pytest.approx(of_best(made)["val/fid"], rel=1e-6)


def test_grey_images_are_shown_to_inception_as_rgb(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net: Any = timm.create_model("inception_v3", aux_logits=False).eval()
    save_file(net.state_dict(), tmp_path / "inception.safetensors")
    images = torch.randint(0, 256, (2, 1, 299, 299), dtype=torch.uint8)
    found = Features(tmp_path / "inception.safetensors", 1, torch.device("cpu"))(images)
    mean, std = (torch.tensor(net.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        maps = net.forward_features((images.expand(-1, 3, -1, -1) / 255 - mean) / std)
    torch.testing.assert_close(found, maps.mean((2, 3)), rtol=1e-3, atol=1e-5 * float(maps.max()))
    assert found.shape == (2, 2048)


def test_what_compares_images_must_be_a_classifier_of_such(run: Path, classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"task.features=.* is a run of task=generate"):
        Features(run, 1, torch.device("cpu"))
    with pytest.raises(InputError, match=r"task.features=.*nowhere"):
        Features(tmp_path / "nowhere", 1, torch.device("cpu"))
    with pytest.raises(InputError, match="sees other images than those of"):
        Features(classifier, 3, torch.device("cpu"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("schedule=plateau", "schedule.mode=max"), "mode=max does not go with schedule.metric=val/pixel_distance"),
        (("transfer=linear_probe", "trainer.clip_norm=1"), "clip_norm=1.0 and transfer=linear_probe: for one network"),
        (("augment.mixup=0.2",), "augment.mixup=0.2: for one network"),
        (("augment.normalize=data",), "augment.normalize=data: for one network"),
        (("data=digit_scenes",), "task=generate learns to make images, and data=digit_scenes gives a class for each"),
        (("data=imagefolder", "data.root=x", "data.channels=4"), "task=generate makes grey or RGB images of 8 bits"),
        (("task.samples=1",), "samples must be 2 at least"),
    ],
)
def test_what_does_not_go_with_it_is_refused(words: tuple[str, ...], message: str) -> None:
    chosen = tuple(each for each in WORDS if not words[0].startswith("data=") or not each.startswith("data"))
    with pytest.raises(ConfigError, match=message):
        check(composed((*chosen, *words)), Train)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("model=lenet5", "model=lenet5 answers for the image, and task=generate learns to make images"),
        ("task=classify", "model=dcgan makes images, and task=classify learns one label an image"),
    ],
)
def test_networks_are_for_their_tasks(word: str, message: str, tmp_path: Path) -> None:
    others = [each for each in WORDS if not each.startswith(word.partition("=")[0])]
    with pytest.raises(ConfigError, match=message):
        check(composed((*others, word, f"output={tmp_path}")), Train).execute([])


def test_what_is_of_answers_to_images_is_refused(run: Path, classifier: Path, tmp_path: Path) -> None:
    out = f"output={tmp_path / 'out'}"
    asked: list[tuple[str, Any, tuple[str, ...], str]] = [
        ("eval", Eval, (f"run={run}", "tta=flip"), "tta=flip: of answers to images as a whole"),
        ("predict", Predict, (f"run={run}", f"images={run / 'samples'}"), "makes images and judges none"),
        ("predict", Predict, (f"run={run}", "samples=2"), "give samples=64, or so many, and output="),
        ("predict", Predict, (f"run={run}", "samples=2", out, "format=csv"), "format=csv: of answers to images"),
        ("predict", Predict, (f"run={classifier}", "samples=2", out), "task=classify makes no images"),
        ("explain", Explain, (f"run={run}", f"images={run / 'samples'}", out), "task=generate makes images"),
        ("embed", Embed, (f"run={run}", f"images={run / 'samples'}", f"{out}.parquet"), "has no one classifier"),
    ]
    for name, kind, words, message in asked:
        with pytest.raises((ConfigError, InputError), match=message):
            command(name, kind, *words)
    with pytest.raises(ConfigError, match="task=generate: diagnose is for"):
        check(composed((f"run={run}",), "diagnose"), Diagnose).execute([])
    with pytest.raises(ConfigError, match="the two networks of task=generate"):
        check(composed(WORDS, "lr_find"), LrFind)

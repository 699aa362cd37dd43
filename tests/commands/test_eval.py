from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from composing import composed
from PIL import Image
from sklearn.metrics import log_loss

from cnntrain.build import judging, trained
from cnntrain.build.data import where_it_was
from cnntrain.build.run import build
from cnntrain.commands.eval import Eval
from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.config.groups import plugin_class
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.intervals import of_proportion
from cnntrain.data.sets.dataset import DataSet, Part
from cnntrain.data.sets.subset import known
from cnntrain.runs import checkpoint, predictions
from cnntrain.runs.predictions import PREDICTIONS
from cnntrain.study.evaluation.folder import EVALUATION
from cnntrain.tasks.classify.calibration import probabilities
from cnntrain.training.saver import Saver

Configure = Callable[..., Train]
Perform = Callable[..., str]
CPU = torch.device("cpu")
SMALL = ("data=fake", "data.train_size=48", "data.val_size=16", "data.num_classes=7")
CLASSES = {"ant": 40, "bee": 120, "cat": 200}


def wanted(**changes: Any) -> Eval:
    defaults = {"run": None, "checkpoint": None, "part": "test", "devices": 1, "device": "cpu", "data": None}
    return check({**composed(["checkpoint=x", "pictures=false"], "eval"), **defaults, **changes}, Eval)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def draw(root: Path, split: str, classes: dict[str, int], count: int = 6) -> None:
    for name, grey in classes.items():
        for number in range(count):
            path = root / split / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng([grey, number]).integers(-30, 30, (32, 32, 3))
            Image.fromarray((noise + grey).astype(np.uint8)).save(path)


@pytest.fixture
def folder_run(configure: Configure, perform: Perform, tmp_path: Path) -> Path:
    """A run on three classes of grey, which it learns."""
    for split, count in (("train", 8), ("val", 4), ("test", 6)):
        draw(tmp_path / "set", split, CLASSES, count)
    settings = configure("trainer.epochs=20", "trainer.ema_decay=0.5", "augment=flip_crop", "data.channels=3")
    return Path(perform(replace(settings, data=folder_data(tmp_path / "set"), name="greys")).splitlines()[-1])


def folder_data(root: Path) -> Any:
    words = ("data.image_size=32", "data.batch_size=8", "data.num_workers=0")
    tree = composed(["data=imagefolder", f'data.root="{root}"', *words])["data"]
    return plugin_class("data", "imagefolder")(**tree)


@pytest.fixture
def untrained(configure: Configure, tmp_path: Path) -> Path:
    """A checkpoint of a run that has not begun, on a folder of classes that it has divided: 3 of 15 images are test."""
    draw(tmp_path / "set", ".", CLASSES, 5)
    run = build(replace(configure(), data=folder_data(tmp_path / "set")))
    (tmp_path / "run").mkdir()
    Saver(tmp_path / "run", run.state, 1.0, 2).write(None)
    return tmp_path / "run" / checkpoint.LAST


@pytest.fixture
def odd_checkpoint(make_run: Callable[..., Any], tmp_path: Path) -> Path:
    """Of a network that sees images in no set's own way."""
    odd = (
        "data.image_size=24",
        "data.crop=squash",
        "data.crop_fraction=0.875",
        "data.interpolation=bicubic",
        "data.background=black",
    )
    make_run(*odd, folder=tmp_path / "odd").saver.write(None)
    return tmp_path / "odd" / checkpoint.LAST


@pytest.fixture
def fake_run(configure: Configure, perform: Perform) -> Path:
    settings = configure("data.test_size=29", "trainer.ema_decay=0.6", "trainer.grad_accum=2")
    return Path(perform(settings).splitlines()[-1])


def test_the_test_part_gets_the_metrics_of_the_run(fake_run: Path, perform: Perform, result_of: Any) -> None:
    expected = result_of(fake_run)["test"]
    output = str(fake_run.parent.parent)
    for where in (
        {"run": str(fake_run)},
        {"run": "latest", "output": output},
        {"checkpoint": str(fake_run / checkpoint.BEST)},
    ):
        out = perform(wanted(**where), ["run=x"])
        found = read(fake_run / "eval-fake-test" / EVALUATION)
        assert {key: found[key] for key in expected} == expected
        assert found["command"] == "cnntrain eval run=x"
        assert found["data"]["fingerprint"] == result_of(fake_run)["data"]["fingerprint"]
        assert out.splitlines()[-1] == str(fake_run / "eval-fake-test")
        assert f"{expected['top1']:.2%}" in out
    assert [each["command"] for each in result_of(fake_run)["test_looks"]] == ["cnntrain", *["cnntrain eval run=x"] * 3]


def test_the_validation_part_gets_the_metrics_of_the_best_epoch(fake_run: Path, result_of: Any) -> None:
    wanted(run=str(fake_run), part="val").execute([])
    found, best = read(fake_run / "eval-fake-val" / EVALUATION), result_of(fake_run)["best"]
    assert found["epoch"] == best["epoch"]
    assert (found["top1"], found["loss"]) == (best["val/top1"], best["val/loss"])
    assert len(result_of(fake_run)["test_looks"]) == 1


def test_keys_of_the_data_are_laid_over_the_runs(fake_run: Path) -> None:
    wanted(run=str(fake_run), data={"test_size": 7, "batch_size": 3}).execute([])
    found = read(fake_run / "eval-fake-test" / EVALUATION)
    assert found["count"] == 7 and found["interval"]["top1"] == of_proportion(found["top1"], 7)


@pytest.mark.parametrize("other", [(), ("data=fake",), ("data=imagefolder", "data.root=x"), ("data=svhn",)])
@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ((), {}),
        (("data.batch_size=5",), {}),
        (("data.image_size=20",), {"image_size": 20}),
        (("data.image_size=null",), {}),
        (("data.crop=pad", "++data.crop_fraction=0.5"), {"crop": "pad", "crop_fraction": 0.5}),
        (("data.interpolation=nearest",), {"interpolation": "nearest"}),
        (("data.background=[1,2,3]",), {"background": [1, 2, 3]}),
    ],
)
def test_images_are_seen_as_the_weights_were_trained_but_for_what_is_typed(
    odd_checkpoint: Path, other: tuple[str, ...], words: tuple[str, ...], changes: dict[str, Any]
) -> None:
    overrides = [f"checkpoint={odd_checkpoint}", "device=cpu", *other, *words]
    asked = check(composed(overrides, "eval"), Eval)
    found = trained.read(odd_checkpoint, CPU, asked._adjusted)
    assert found.seen.background == "black"
    assert asked._seen(found, overrides) == replace(found.seen, **changes)


def test_another_size_or_depth_of_images(fake_run: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.channels=1, but this model takes 3: data\.channels=3 converts"):
        wanted(run=str(fake_run), data={"channels": 1}).execute([])


def test_a_shifted_set_with_the_classes_in_another_order_and_some_absent(folder_run: Path, tmp_path: Path) -> None:
    wanted(run=str(folder_run)).execute([])
    before = read(folder_run / "eval-imagefolder-test" / EVALUATION)
    assert before["top1"] == 1.0
    # "aardvark" sorts first and is only in the train part, which is not evaluated: labels shift by one
    shifted = tmp_path / "shifted"
    draw(shifted, "train", {"aardvark": 1, **CLASSES}, 2)
    draw(shifted, "val", {"bee": 120}, 2)
    draw(shifted, "test", {"bee": 120, "cat": 200}, 5)
    for _ in range(2):  # the same again takes the place of the same
        wanted(run=str(folder_run), data={"root": str(shifted)}).execute([])
    found = read(folder_run / "eval-imagefolder-test-2" / EVALUATION)
    assert (found["top1"], found["count"], found["data"]["root"]) == (1.0, 10, str(shifted))
    assert read(folder_run / "eval-imagefolder-test" / EVALUATION) == before  # no result takes the place of another
    assert len(list(folder_run.glob("eval-*"))) == 2


def test_new_labelled_images_are_evaluated_whole_however_they_come(
    untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def judged(data: dict[str, Any], part: str = "test") -> tuple[str, int]:
        """Which part was evaluated, and how many images."""
        before = set(untrained.parent.glob("eval-*"))
        wanted(checkpoint=str(untrained), data=data, part=part).execute([])
        (path,) = set(untrained.parent.glob("eval-*")) - before  # no result takes the place of another
        found = read(path / EVALUATION)
        return found["data"]["part"], found["count"]

    new = tmp_path / "new"
    draw(new / "flat", ".", CLASSES, 4)
    assert judged({"root": str(new / "flat")}) == ("all", 12)
    assert "note: the images come in no parts: all 12 are taken" in capsys.readouterr().out
    assert judged({"root": str(new / "flat"), "classes": ["ant", "bee"]}) == ("all", 8)
    assert "note: 4 images of classes that are not in data.classes are left out" in capsys.readouterr().out
    assert judged({"root": str(new / "flat"), "split": [0.5, 0.5]}, "val") == ("val", 6)  # as is asked
    draw(new / "lone", ".", {"bee": 120}, 3)
    assert judged({"root": str(new / "lone")}) == ("all", 3)
    with pytest.raises(InputError, match=r"the all part has no image of data.classes=\['ant', 'cat'\]"):
        judged({"root": str(new / "lone"), "classes": ["ant", "cat"]})
    draw(new / "parted", "test", CLASSES, 2)
    assert judged({"root": str(new / "parted")}) == ("test", 6)
    with pytest.raises(InputError, match="has no val part; choose part=test"):
        judged({"root": str(new / "parted")}, "val")
    (new / "t.csv").write_text("path,label,split\nflat/ant/0.png,ant,test\nflat/cat/0.png,cat,test\n")
    table = {**asdict(folder_data(new)), "name": "csv", "csv": "t.csv", "labels": "one"}
    assert judged(table) == ("test", 2)
    (new / "t.csv").write_text("path,label\nflat/ant/0.png,ant\n")
    assert judged(table) == ("all", 1)
    shutil.copytree(tmp_path / "set", new / "copy")  # of the run's images, which are divided as they were
    assert judged({"root": str(new / "copy")}) == ("test", 3)


def test_transparent_images_are_laid_on_the_background_of_the_run_or_on_that_which_is_asked_for(
    untrained: Path, tmp_path: Path
) -> None:
    hidden = Image.new("RGBA", (32, 32), (200, 40, 90, 0))
    (tmp_path / "clear/ant").mkdir(parents=True)
    hidden.save(tmp_path / "clear/ant/x.png")

    def loss(number: str, **data: Any) -> float:
        wanted(checkpoint=str(untrained), data={"root": str(tmp_path / "clear"), **data}).execute([])
        return read(untrained.parent / f"eval-imagefolder-all{number}" / EVALUATION)["loss"]

    found = trained.read(untrained, CPU)
    for number, background, of in (("", "white", {}), ("-2", "black", {"background": "black"})):
        seen = replace(found, seen=replace(found.seen, background=background)).preprocess(hidden)
        with torch.inference_mode():
            expected = torch.nn.functional.cross_entropy(found.network(seen), torch.tensor([0])).item()
        assert loss(number, **of) == pytest.approx(expected, rel=1e-5)
        assert (seen.flatten(2).std(2) < 1e-6).all()
    assert (seen < 0).all()  # black
    state = checkpoint.load(untrained)
    state["preprocess"]["background"] = "black"  # of the run; the other set has white, which nobody has typed
    checkpoint.save(untrained, {key: value for key, value in state.items() if key != "format"})
    assert loss("-2", **asdict(folder_data(tmp_path / "clear"))) == pytest.approx(expected, rel=1e-5)


def test_the_runs_images_are_found_from_another_folder_and_what_has_changed_is_said(
    untrained: Path, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    draw(tmp_path / "away/set", ".", CLASSES, 7)  # of the same name
    state = checkpoint.load(untrained)
    assert state["places"] == {"root": str(tmp_path / "set")}
    state["config"]["data"]["root"] = "set"  # as it was typed
    checkpoint.save(untrained, {key: value for key, value in state.items() if key != "format"})
    monkeypatch.chdir(tmp_path / "away")
    wanted(checkpoint=str(untrained)).execute([])
    found = read(untrained.parent / "eval-imagefolder-test" / EVALUATION)
    assert (found["count"], found["data"]["root"]) == (3, str(tmp_path / "set"))
    assert "are not those of the run" not in capsys.readouterr().out
    typed = replace(folder_data(tmp_path), root="set")
    assert where_it_was(typed, state).root == str(tmp_path / "set")  # as for a resumed run
    assert where_it_was(replace(typed, root="other"), state).root == "other"
    resumed = build(replace(configure(), data=typed), state)
    assert (len(resumed.data.test), resumed.state.about["places"]) == (3, state["places"])
    draw(tmp_path / "set", ".", {"ant": 40}, 6)
    wanted(checkpoint=str(untrained)).execute([])
    assert (untrained.parent / "eval-imagefolder-test-2" / EVALUATION).exists()
    assert "note: the data's files or their split are not those of the run" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "set")
    assert where_it_was(typed, state).root == "set"


def test_unknown_classes_are_named(folder_run: Path, tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        draw(tmp_path / "other", split, {"ant": 40, "dog": 90, "emu": 10}, 2)
    with pytest.raises(InputError) as caught:
        wanted(run=str(folder_run), data={"root": str(tmp_path / "other")}).execute([])
    assert str(caught.value) == (
        "the test part has classes that the checkpoint was not trained on: 'dog', 'emu'; it knows 'ant', 'bee', 'cat'; "
        "unknown=skip leaves their images out"
    )
    wanted(run=str(folder_run), data={"root": str(tmp_path / "other")}, unknown="skip").execute([])
    assert read(folder_run / "eval-imagefolder-test" / EVALUATION)["count"] == 2


def test_labels_are_mapped_by_name() -> None:
    part = Part([], np.array([0, 1, 2, 2, 0]), list("abcde"))  # type: ignore[arg-type]
    data = DataSet(["x", "y", "z"], 3, 8, part, part, part, "")
    found, unknown = known(data.labelled("test"), ["z", "y", "x", "w"])
    assert found.part.labels.tolist() == [2, 1, 0, 0, 2] and not unknown
    found, unknown = known(data.labelled("test"), ["z", "x"])
    assert (found.part.labels.tolist(), found.part.ids, unknown) == ([1, 0, 0, 1], list("acde"), {"y": 1})


def test_a_part_that_is_not_there(configure: Configure) -> None:
    made = configure("data.test_size=0", "trainer.epochs=1").execute([]).made
    with pytest.raises(InputError, match="this data set has no test part"):
        wanted(run=made).execute([])


def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"best\.ckpt: there is no such file"):
        wanted(run=str(tmp_path)).execute([])


def test_answers_that_were_given_are_judged_again(fake_run: Path, result_of: Any, capsys: Any) -> None:
    wanted(run=str(fake_run)).execute([])
    whole = read(fake_run / "eval-fake-test" / EVALUATION)
    assert whole["calibration"]["temperature"] == result_of(fake_run)["temperature"]
    capsys.readouterr()
    for place in (fake_run / "test", fake_run / "eval-fake-test"):
        asked = check({**composed([f"predictions={place / PREDICTIONS}"], "eval")}, Eval)
        assert asked.execute([]).made == str(place)
        again = read(place / EVALUATION)
        same = ("top1", "top5", "count", "interval", "confusion", "per_class", "scores", "intervals", "most_confused")
        assert {key: again[key] for key in same} == {key: whole[key] for key in same}
        assert again["loss"] == pytest.approx(whole["loss"], rel=1e-5)
        shown = capsys.readouterr().out
        assert "calibration: ECE" in shown and "top-5" in shown
    assert again["preprocess"] == whole["preprocess"]  # what was known of it stays


def test_several_runs_answer_as_one(fake_run: Path, configure: Configure, result_of: Any) -> None:
    other = Path(configure("data.test_size=29", "seed=1", "task.metrics=[macro_f1]").execute([]).made)
    runs = [str(other), str(fake_run)]
    wanted(run=runs, ensemble=True).execute([])
    found = read(other / "eval-fake-test" / EVALUATION)
    answers = [predictions.read(Path(run) / "test" / PREDICTIONS) for run in runs]
    mean = np.mean([probabilities(each.logits) for each in answers], axis=0)
    assert found["top1"] == pytest.approx((mean.argmax(1) == answers[0].labels).mean())
    assert found["loss"] == pytest.approx(log_loss(answers[0].labels, mean, labels=range(7)), rel=1e-5)
    assert {name: each["top1"] for name, each in found["members"].items()} == {
        str(Path(run) / checkpoint.BEST): result_of(Path(run))["test"]["top1"] for run in runs
    }
    assert set(found["val"]) == {*found["members"], "together"}
    assert isinstance(found["better_on_val"], bool) and found["interval"]["top1"] == of_proportion(found["top1"], 29)
    gain = found["gain"]["top1"]
    assert gain["together"] == found["top1"] and gain["mean"] == pytest.approx(
        np.mean([each["top1"] for each in found["members"].values()])
    )
    few = Path(configure("data.num_classes=3", "trainer.epochs=1").execute([]).made)
    with pytest.raises(InputError, match="knows other classes"):
        wanted(run=[runs[0], str(few)], ensemble=True).execute([])


def test_an_average_of_weights_is_chosen_on_val(configure: Configure, capsys: Any) -> None:
    words = ("checkpoint.keep=4", "checkpoint.time_share=1", "trainer.epochs=4", "optim.lr=0.05")
    run = Path(configure(*words).execute([]).made)
    wanted(run=str(run), average="uniform", best=2).execute([])
    found = read(run / "eval-fake-test" / EVALUATION)
    assert len(found["average"]["of"]) == 2 and found["average"]["how"] == "uniform"
    states = [checkpoint.eval_weights(checkpoint.load_run(Path(each))) for each in found["average"]["of"]]
    network = trained.read(run / checkpoint.BEST, CPU)
    network.network.load_state_dict({name: (states[0][name] + states[1][name]) / 2 for name in states[0]})
    test = network.config.data.load().test
    rows = torch.cat([network.preprocess(test.images[number]) for number in range(len(test))])
    with torch.inference_mode():
        logits = network.network(rows)
    answers = predictions.read(run / "eval-fake-test" / PREDICTIONS)
    assert np.abs(logits.numpy() - answers.logits).max() < 1e-5
    wanted(run=str(run), average="greedy").execute([])
    greedy = read(run / "eval-fake-test-2" / EVALUATION)
    members = [judging.Member(each := trained.read(Path(p), CPU), each.seen) for p in greedy["average"]["of"]]
    val = network.config.data.load().labelled("val")
    best = max(
        judging.Member(one := trained.read(p, CPU), one.seen).judged(val).metrics["top1"] for p in judging.kept(run)
    )
    assert judging.average(members).judged(val).metrics["top1"] >= best
    one = Path(configure("trainer.epochs=1", "checkpoint.keep=1").execute([]).made)
    with pytest.raises(InputError, match=r"keeps 1 checkpoints, of which there is no average: .* checkpoint\.keep=5"):
        wanted(run=str(one), average="greedy").execute([])
    with pytest.raises(InputError, match=r"of which there is no average of 99: .*keep=99"):
        wanted(run=str(run), average="greedy", best=99).execute([])
    with pytest.raises(InputError, match=r"average=greedy chooses by val, which is not in these data: shift="):
        wanted(run=str(run), average="greedy", data=composed([*SMALL, "data.test_size=5"])["data"]).execute([])


def test_the_best_runs_of_a_folder_answer_as_one_or_are_averaged(configure: Configure, result_of: Any) -> None:
    words = ("name=several", "trainer.epochs=1")
    runs = [Path(configure(*words, f"seed={seed}").execute([]).made) for seed in range(3)]
    ranked = sorted(runs, key=lambda run: (-result_of(run)["best"]["val/top1"], run))
    chosen = [str(run / checkpoint.BEST) for run in ranked[:2]]
    wanted(run=str(runs[0].parent), ensemble=True, best=2).execute([])
    found = read(ranked[0] / "eval-fake-test" / EVALUATION)
    assert found["of"] == chosen and set(found["members"]) == set(chosen)
    assert [len(result_of(run)["test_looks"]) for run in ranked] == [2, 2, 1]  # of those that answered alone
    wanted(run=str(runs[0].parent), average="uniform", best=2).execute([])
    found = read(ranked[0] / "eval-fake-test-2" / EVALUATION)
    states = [checkpoint.eval_weights(checkpoint.load_run(Path(each))) for each in chosen]
    assert sorted(found["average"]["of"]) == sorted(chosen) and set(found["members"]) == set(chosen)
    network = trained.read(Path(chosen[0]), CPU)
    network.network.load_state_dict({name: (states[0][name] + states[1][name]) / 2 for name in states[0]})
    whole = judging.Member(network, network.seen).judged(network.config.data.load().labelled("test"))
    assert found["top1"] == whole.metrics["top1"]
    net = "{space: chain, layers: [{height: 3, width: 3, filters: 4, stride: 1, inputs: []}]}"
    others = {
        r"in model\.name: weights": ("model=found", f"+model.args.genotype={net}"),
        r"in data\.crop_fraction, data\.mean, data\.std: weights": ("data.crop_fraction=0.5",),
        "the runs' data or their splits differ: ensemble=true does without": ("data.train_size=32",),
    }
    for problem, other in others.items():
        run = Path(configure(*words, "name=other", *other).execute([]).made)
        with pytest.raises(InputError, match=problem):
            wanted(run=[str(run), str(runs[0])], average="uniform").execute([])
    wanted(run=[str(run), str(runs[0])], ensemble=True).execute([])  # who learned from which images is not known
    assert "val" not in read(run / "eval-fake-test" / EVALUATION)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"run": ["a", "b"]}, "goes with ensemble=true"),
        ({"run": ["a", "b"], "ensemble": True, "average": "greedy"}, "leave one of them out"),
        ({"run": ["a", "b"], "ensemble": True, "best": 1}, "is one run alone"),
        ({"run": "a", "best": 2}, "add ensemble=true, or average="),
        ({"checkpoint": "a", "ensemble": True}, "are of runs"),
    ],
)
def test_how_several_are_put_together_is_said_once(words: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        wanted(**words)


def test_other_sets_and_worse_images_stand_beside(folder_run: Path, tmp_path: Path, capsys: Any) -> None:
    draw(tmp_path / "other", "test", {"ant": 40, "dog": 90, "cat": 200}, 5)
    draw(tmp_path / "alien", "test", {"dog": 90}, 5)
    capsys.readouterr()
    roots = [str(tmp_path / "other"), str(tmp_path / "alien")]
    wanted(run=str(folder_run), shift=roots, corruptions=["contrast", "noise"], tta="flip").execute([])
    found = read(folder_run / "eval-imagefolder-test" / EVALUATION)
    other, alien = found["shift"]
    assert (other["data"], other["count"], other["unknown"], other["top1"]) == (roots[0], 10, {"dog": 5}, 1.0)
    assert other["interval"]["top1"] == of_proportion(1.0, 10) and (alien["count"], alien["unknown"]) == (0, {"dog": 5})
    assert [len(each) for each in found["corruptions"].values()] == [5, 5]
    assert found["corruptions"]["noise"][0]["count"] == found["count"] == 18
    out = capsys.readouterr().out
    assert "other: 5 images of unknown classes are left out: 'dog'" in out and "by strength" in out


def test_images_of_two_classes_are_taken_for_their_shape_or_their_texture(
    folder_run: Path, tmp_path: Path, capsys: Any
) -> None:
    """The network knows greys, so an image's grey is its answer."""
    root = tmp_path / "cues"
    for shape, texture, answer, count in [
        ("ant", "bee", "ant", 5), ("ant", "cat", "bee", 2), ("bee", "cat", "cat", 3), ("bee", "ant", "bee", 1),
        ("cat", "dog", "cat", 4), ("cat", "cat", "cat", 2),
    ]:  # fmt: skip
        draw(tmp_path / texture, ".", {shape: CLASSES[answer]}, count)
        for number in range(count):
            (root / shape).mkdir(parents=True, exist_ok=True)
            (tmp_path / texture / shape / f"{number}.png").rename(root / shape / f"{shape}{number}-{texture}7.png")
    capsys.readouterr()
    wanted(run=str(folder_run), cues=str(root)).execute([])
    place = folder_run / "eval-imagefolder-test"
    found, out = read(place / EVALUATION)["cues"], capsys.readouterr().out
    assert [found[key] for key in ("data", "count", "shape", "texture", "neither")] == [str(root), 11, 6, 3, 2]
    assert (found["shape_bias"], found["interval"]) == (6 / 9, of_proportion(6 / 9, 9))
    assert {each["name"]: (each["shape"], each["count"]) for each in found["per_shape"]} == {
        "ant": (5, 7),
        "bee": (1, 4),
    }
    assert (found["unknown"], found["left_out"]) == ({"dog": 4}, {"unknown": 4, "same": 2})
    rows = (place / "cues.csv").read_text().splitlines()
    assert len(rows) == 12 and "ant/ant0-cat7.png,ant,cat,bee,neither" in rows
    assert "cues: shape bias 66.7% [35.4, 87.9]: of 11 images 6 by shape, 3 by texture, 2 as neither" in out
    assert "4 of its images are left out, of classes that are unknown: 'dog'" in out
    assert "2 of its images are left out, whose shape and texture are of one class" in out
    (root / "ant" / "ant0-bee7.png").write_bytes(b"no image")
    damaged = {"run": str(folder_run), "cues": str(root), "data": {"on_bad": "skip"}}
    wanted(**damaged).execute([])
    assert read(place / EVALUATION)["cues"]["shape"] == 5 and "ant/ant0-bee7.png" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="no images are looked at"):
        wanted(predictions=str(place / PREDICTIONS), cues=str(root))
    with pytest.raises(InputError, match=r"nowhere: is no folder"):
        wanted(run=str(folder_run), cues=str(tmp_path / "nowhere")).execute([])


def test_two_processes_judge_as_one_does(fake_run: Path, ranks: Callable[..., Any], tmp_path: Path) -> None:
    draw(tmp_path / "cues", ".", {"0": 40})
    for path in (tmp_path / "cues" / "0").iterdir():
        path.rename(path.with_stem(f"01-{int(path.stem) + 1}2"))
    words = ("tta=flip", "corruptions=[noise]", f"cues={tmp_path / 'cues'}", "device=cpu", "pictures=false")
    place = Path(ranks("eval", f"run={fake_run}", *words).stdout.splitlines()[-1])
    two = read(place / EVALUATION)
    shutil.rmtree(place)
    assert check(composed([f"run={fake_run}", *words], "eval"), Eval).execute([]).made == str(place)
    one = read(place / EVALUATION)
    assert two["confusion"] == one["confusion"] and two["loss"] == pytest.approx(one["loss"], rel=1e-6)
    assert [each["top1"] for each in two["corruptions"]["noise"]] == [
        each["top1"] for each in one["corruptions"]["noise"]
    ]
    assert two["cues"] == one["cues"] and two["cues"]["count"] == 6
    for part in ("val", "members"):
        assert {name: each["top1"] for name, each in two[part].items()} == {
            name: each["top1"] for name, each in one[part].items()
        }

"""Runs that find objects: stopped and resumed, evaluated, drawn, over a frozen backbone, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from composing import composed
from PIL import Image
from slow import slow_if

import cnntrain
from cnntrain.build.looking import Looking
from cnntrain.build.run import build
from cnntrain.commands.eval import Eval
from cnntrain.commands.explain import Explain
from cnntrain.commands.predict import Predict
from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.core import plain_json
from cnntrain.core.errors import ConfigError, StopError
from cnntrain.runs import checkpoint, counts
from cnntrain.runs.report import Report
from cnntrain.study.page import facts, one
from cnntrain.study.page.answered import kinds
from cnntrain.study.page.thumbnails import Album
from cnntrain.training import loop
from cnntrain.training.run import Run
from cnntrain.training.saver import Saver

WORDS = (
    "task=detect", "data=digit_scenes", "data.train_size=12", "data.val_size=5", "data.test_size=4", "data.canvas=32",
    "data.batch_size=4", "model.backbone=resnet20", "augment=flip_crop", "optim=adamw", "trainer.device=cpu",
    "trainer.epochs=2", "report.html=false", "seed=0",
)  # fmt: skip
ARGS = "{channels: 16, hidden: 16, mask_channels: 8, box_batch_size_per_image: 16, rpn_post_nms_top_n_train: 40}"
MASKED = (*WORDS, "model=mask_rcnn", f"model.args={ARGS}", "task.metrics=[mask_map]")
RETINA = (*WORDS, "model=retinanet", "model.args={channels: 16}")
FAST = (*WORDS, "model=fast_rcnn", "model.args={hidden: 16, proposals: 20}")
CROPS = (*WORDS, "model=rcnn", "model.args={proposals: 12, crop: 8, pooled: 2, box_batch_size_per_image: 8}")


def run_of(*words: str, of: Sequence[str] = MASKED) -> Path:
    return Path(str(check(composed((*of, *words)), Train).execute([]).made))


def weights(run: Path) -> dict[str, Any]:
    return checkpoint.load_run(run / checkpoint.LAST)["model"]


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_of(f"output={tmp_path_factory.mktemp('run')}")


def begun(folder: Path, words: Sequence[str]) -> tuple[Run, Report, Saver]:
    """A run as `commands.train` makes it, from its last checkpoint where there is one."""
    folder.mkdir(exist_ok=True)
    asked, last = check(composed((*words, f"output={folder}")), Train), folder / checkpoint.LAST
    run = build(asked, checkpoint.load(last) if last.exists() else None)
    return run, Report(asked.task.columns, []), Saver(folder, run.state, 1.0, 1)


@pytest.mark.parametrize("words", slow_if([RETINA, CROPS], [MASKED, RETINA, CROPS], lambda words: words[len(WORDS)]))
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(tmp_path: Path, words: tuple[str, ...]) -> None:
    """To the bit: what torchvision's samplers draw, and within an epoch what was summed."""
    whole = begun(tmp_path / "whole", words)
    assert loop.fit(*whole) == loop.FINISHED
    first = begun(tmp_path / "half", words)

    def stop() -> None:
        if first[0].state.progress.step == 2:
            raise StopError

    first[0].heed = stop
    assert loop.fit(*first) == loop.STOPPED
    again = begun(tmp_path / "half", words)
    assert again[0].state.progress.step_in_epoch == 2 and loop.fit(*again) == loop.FINISHED
    one, other = (each[0].state.model.state_dict() for each in (whole, again))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert again[0].state.progress.best == whole[0].state.progress.best


def test_two_processes_judge_what_one_judges(ranks: Callable[..., Any], tmp_path: Path) -> None:
    run = Path(ranks(*MASKED, f"output={tmp_path}").stdout.splitlines()[-1])
    made = Path(str(check(composed((f"run={run}", "part=val", "device=cpu"), "eval"), Eval).execute([]).made))
    found = plain_json.read((made / "eval.json").read_bytes(), dict)
    best = plain_json.read((run / "result.json").read_bytes(), dict)["best"]
    for name in ("map", "map50", "mask_map", "loss"):
        assert found[name] == pytest.approx(best[f"val/{name}"], abs=1e-6), name


def test_an_evaluation_finds_what_the_run_found_and_leaves_what_its_figures_follow_from(run: Path) -> None:
    made = Path(str(check(composed((f"run={run}", "part=val", "device=cpu"), "eval"), Eval).execute([]).made))
    found = plain_json.read((made / "eval.json").read_bytes(), dict)
    best = plain_json.read((run / "result.json").read_bytes(), dict)["best"]
    for name in ("map", "map50", "mask_map", "loss"):
        assert found[name] == pytest.approx(best[f"val/{name}"], nan_ok=True)
    assert [each["name"] for each in found["per_class"]] == [*map(str, range(10))]
    table = pq.read_table(made / "per_image.parquet")
    assert table.num_rows == 5 and sum(map(len, table["there_class"].to_pylist())) == sum(
        each["support"] for each in found["per_class"]
    )
    read_again = replace(facts.read(run), answers=counts.left(made), result={})
    shown = kinds.section(read_again, None)
    assert plain_json.text([shown.rows, shown.intervals]) == plain_json.text([found["per_class"], found["interval"]])
    with pytest.raises(ConfigError, match="tta=flip: of answers to images as a whole"):
        check(composed((f"run={run}", "tta=flip", "device=cpu"), "eval"), Eval).execute([])


def test_what_a_box_rests_on_is_drawn_with_it(run: Path, tmp_path: Path) -> None:
    loaded = cnntrain.load(run, device="cpu")
    scene = loaded.config.data.load().val.images[0]
    Image.fromarray(scene[0].numpy()).save(tmp_path / "a.png")
    words = (f"run={run}", f"images={tmp_path / 'a.png'}", f"output={tmp_path / 'out'}", "device=cpu", "num_workers=0")
    made = Path(str(check(composed((*words, "tensorboard=false"), "explain"), Explain).execute([]).made))
    (row,) = plain_json.read((made / "explain.json").read_bytes(), dict)["images"]
    with torch.no_grad():
        surest = loaded.network(loaded.preprocess(tmp_path / "a.png")).boxes[0, 0]
    assert row["target"] == row["answer"] == loaded.classes[int(surest[0])]
    assert row["probability"] == pytest.approx(float(surest[1])) and row["box"] == pytest.approx(surest[2:].tolist())
    with Image.open(made / row["picture"]) as drawn:
        lime = (np.asarray(drawn.convert("RGB")) == (0, 255, 0)).all(2)
    assert lime.sum() > 50


def test_a_page_has_what_the_network_sees_behind_the_boxes(run: Path, tmp_path: Path) -> None:
    answers = facts.read(run).answers
    assert answers is not None
    source = Looking(run, "test", answers.ids, torch.device("cpu"))
    shown = one.values(facts.read(run), Album(source, 60))
    assert not shown["notes"] and [each.side for each in shown["judged"].worst] == [32] * 4
    test = plain_json.read((run / "result.json").read_bytes(), dict)["test_interval"]["map"]
    assert shown["tiles"][0][2].startswith(f"[{100 * test[0]:.1f}, {100 * test[1]:.1f}]")
    assert np.array_equal(source.seen()(2), np.asarray(source.images()[2][0]))
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    for name in ("config.yaml", "metrics.jsonl"):
        (stopped / name).write_bytes((run / name).read_bytes())
    early = one.values(facts.read(stopped), None)
    assert {"map", "map50", "mask_map", "loss"} <= early["inlined"]["charts"].keys()  # and not those of labels
    assert early["notes"] == ["there are no answers to images yet: a finished run has them"]


def test_boxes_are_drawn(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (32, 32), 90).save(tmp_path / "a.png")
    words = (f"run={run}", f"images={tmp_path / 'a.png'}", f"output={tmp_path / 'out'}", "device=cpu", "format=json")
    check(composed(words, "predict"), Predict).execute([])
    with Image.open(tmp_path / "out" / "a.png") as drawn:
        assert drawn.size == (320, 320) and drawn.mode == "RGB"
    line = plain_json.read(capsys.readouterr().out.splitlines()[0].encode(), dict)
    assert len(line["class"]) == len(line["score"]) == len(line["box"]) and len(line["class"]) <= 100


@pytest.mark.parametrize("of", slow_if([MASKED], [MASKED, FAST], lambda words: words[len(WORDS)]))
def test_the_heads_are_trained_on_kept_maps_as_on_ones_that_are_computed_each_time(
    tmp_path: Path, of: Sequence[str]
) -> None:
    words = ("transfer=linear_probe", "model.pretrained=false", "augment=none", "task.metrics=[]", "trainer.epochs=1")
    kept, fresh = (run_of(*words, f"output={tmp_path}", f"transfer.cache={how}", of=of) for how in ("ram", "off"))
    assert plain_json.read((kept / "result.json").read_bytes(), dict)["frozen"]["kept"] == {
        "train": "ram",
        "val": "ram",
    }
    assert same(kept, fresh)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("augment.mixup=0.2",), "augment.mixup=0.2: for images with labels"),
        (("augment.padding_mode=reflect",), "augment=flip_crop: for images with labels"),
        (("data.gives=mask",), "task=detect goes with data=digit_scenes"),
        (("trainer.compile=on",), "trainer.compile=on: not for task=detect"),
        (("trainer.label_smoothing=0.1",), "trainer.label_smoothing=0.1: not for task=detect"),
        (("task.metrics=[map75,map75]",), "names map75 twice"),
    ],
)
def test_what_is_for_labels_is_refused(words: tuple[str, ...], why: str) -> None:
    with pytest.raises(ConfigError, match=why.replace("[", r"\[")):
        check(composed((*MASKED, *words)), Train)


def test_networks_that_find_boxes_are_not_compiled_for_a_try() -> None:
    assert check(composed((*MASKED, "trainer.tune=auto")), Train).trainer.compile == "off"


def test_networks_and_tasks_that_do_not_go_together_are_told(tmp_path: Path) -> None:
    few = ("data.train_size=8", "data.val_size=2", "data.test_size=0", f"output={tmp_path}", "trainer.device=cpu")
    small = ("model=retinanet", "model.backbone=resnet20", "model.args={channels: 16}")
    for words, why in (
        (("model=lenet5",), "model=lenet5 answers for the image, and task=detect learns objects in boxes"),
        ((*small, "task.metrics=[mask_map]"), "mask_map and mask_map50 are of model=mask_rcnn"),
    ):
        asked = check(composed(("task=detect", "data=digit_scenes", *few, *words)), Train)
        with pytest.raises(ConfigError, match=why):
            asked.execute([])

"""Runs that learn a class for each pixel: a frozen backbone computed once, predictions, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from composing import composed
from npz import arrays_of
from PIL import Image

import cnntrain
from cnntrain.build.looking import Looking
from cnntrain.commands.eval import Eval
from cnntrain.commands.explain import Explain
from cnntrain.commands.predict import Predict
from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.core import plain_json
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.targets import IGNORE
from cnntrain.runs import checkpoint
from cnntrain.runs.counts import Counts
from cnntrain.study.page import facts, one
from cnntrain.study.page.thumbnails import Album

WORDS = (
    "task=segment", "data=digit_scenes", "data.train_size=12", "data.val_size=5", "data.test_size=0", "data.canvas=32",
    "data.batch_size=4", "model=fcn", "model.backbone=resnet20", "model.pretrained=false", "transfer=linear_probe",
    "transfer.views=2", "augment=flip_crop", "trainer.device=cpu", "trainer.epochs=2", "report.html=false",
)  # fmt: skip


def trained_run(*words: str) -> Path:
    return Path(str(check(composed((*WORDS, *words)), Train).execute([]).made))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_run(f"output={tmp_path_factory.mktemp('run')}", "transfer.cache=ram")


def test_masks_are_kept_with_the_activations_that_they_go_with(run: Path, tmp_path: Path) -> None:
    """On disk as in memory, and the images behind them are not read again."""
    again = trained_run(f"output={tmp_path}", "transfer.cache=disk", f"transfer.cache_dir={tmp_path / 'cache'}")
    one, other = (checkpoint.load_run(each / checkpoint.LAST)["model"] for each in (run, again))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_evaluation_finds_what_the_run_found_and_refuses_what_has_no_meaning(run: Path) -> None:
    made = Path(str(check(composed((f"run={run}", "part=val", "device=cpu"), "eval"), Eval).execute([]).made))
    found = plain_json.read((made / "eval.json").read_bytes(), dict)
    best = plain_json.read((run / "result.json").read_bytes(), dict)["best"]
    assert found["miou"] == pytest.approx(best["val/miou"]) and len(found["per_class"]) == 11
    low, high = found["interval"]["miou"]
    assert 0 < low <= high < 1
    album = Album(Looking(run, "val", facts.read(run).answers.ids, torch.device("cpu")), 60)
    shown = one.values(facts.read(run), album)
    keys = found["per_class"][0].keys()
    assert [{key: row[key] for key in keys} for row in shown["judged"].rows] == found["per_class"]
    assert shown["judged"].intervals == found["interval"] and not shown["notes"]
    assert shown["table"]["rows"][0]["cells"][0][1] == f"[{100 * low:.1f}, {100 * high:.1f}]"
    assert shown["evaluations"][0]["within"] == f"[{100 * low:.1f}, {100 * high:.1f}]"
    assert [len(each.pictures) for each in shown["judged"].worst] == [3] * 5
    with pytest.raises(ConfigError, match="tta=flip: of answers to images as a whole"):
        check(composed((f"run={run}", "tta=flip", "device=cpu"), "eval"), Eval).execute([])


def test_what_a_mask_rests_on_is_drawn_around_its_pixels(run: Path, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32), np.uint8)).save(tmp_path / "a.png")
    words = (f"run={run}", f"images={tmp_path / 'a.png'}", "device=cpu", "num_workers=0", "tensorboard=false")
    made = Path(str(check(composed((*words, f"output={tmp_path / 'out'}"), "explain"), Explain).execute([]).made))
    found = plain_json.read((made / "explain.json").read_bytes(), dict)
    (row,) = found["images"]
    assert found["layer"] == "backbone.stage3" and "logits over the pixels" in row["score_is"]
    loaded = cnntrain.load(run, device="cpu")
    with torch.no_grad():
        logits = loaded.network(loaded.preprocess(tmp_path / "a.png"))
    counts = logits.argmax(1).flatten().bincount(minlength=11)
    (one,) = loaded.explain([tmp_path / "a.png"])
    assert row["pixels"] == counts[loaded.classes.index(row["target"])] > 0 and row["target"] == one.target
    np.testing.assert_allclose(arrays_of(made / "maps.npz")["maps"][0], one.map, rtol=1e-4, atol=1e-6)
    missing = loaded.classes[int(counts.argmin())]
    assert counts.min() == 0
    with pytest.raises(InputError, match=f"nothing to explain of class {missing}: the network gives it no pixel"):
        loaded.explain([tmp_path / "a.png"], target=missing)
    with pytest.raises(InputError, match="the network says nothing of this class of any"):
        check(composed((*words, f"target={missing}"), "explain"), Explain).execute([])
    with pytest.raises(ConfigError, match="class_means is of answers to images as a whole, and task=segment answers"):
        check(composed((*words, "method=class_means"), "explain"), Explain).execute([])


def test_the_masks_of_a_page_are_those_that_were_judged(run: Path) -> None:
    answers = facts.read(run).answers
    assert isinstance(answers, Counts)
    masks = Looking(run, "val", answers.ids, torch.device("cpu")).masks()
    for position, counts in enumerate(answers.counts):
        image, there, given = masks(position)
        known = there != IGNORE
        assert image.shape == there.shape == given.shape == (32, 32)
        for number, wanted in enumerate(counts.T):
            own, other = (each[known] == number for each in (there, given))
            assert wanted.tolist() == [(own & other).sum(), own.sum(), other.sum()]
    _, notes = one.page_of(facts.read(run), Album(Looking(run, "val", ["other"], torch.device("cpu")), 60))
    assert len(notes) == 1 and "these images are not those that the run was judged by" in notes[0]


def test_predicted_masks_are_painted_and_can_be_read_again(run: Path, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32), np.uint8)).save(tmp_path / "a.png")
    words = (f"run={run}", f"images={tmp_path / 'a.png'}", f"output={tmp_path / 'out'}", "device=cpu")
    check(composed(words, "predict"), Predict).execute([])
    with Image.open(tmp_path / "out" / "a-mask.png") as mask, Image.open(tmp_path / "out" / "a.png") as painted:
        assert mask.mode == "P" and mask.size == painted.size == (32, 32) and np.array(mask).max() < 11

"""Runs on images of five channels and of 16 bits: trained, resumed, judged and used by what they were trained on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import cnntrain
from cnntrain.core.errors import ConfigError, UserError
from cnntrain.runs import predictions

Typed = Callable[..., Any]
WORDS = (
    "data=imagefolder", "data.image_size=32", "data.batch_size=16", "data.num_workers=0", "model=lenet5",
    "trainer.device=cpu", "trainer.epochs=2", "optim.lr=0.02",
)  # fmt: skip
DEEP = ("data.channels=5", "data.depth=16")
SHIFT = 60  # of 65535: with the noise less than half of a step of 8 bits, which is 257


def arrays(root: Path) -> Path:
    """Two classes of five channels, each bright in another."""
    for number, name in enumerate(("left", "right")):
        for index in range(20):
            values = np.random.default_rng([number, index]).integers(0, 30000, (34, 32, 5))
            values[..., number] += 30000
            (root / name).mkdir(parents=True, exist_ok=True)
            np.save(root / name / f"{index}.npy", values.astype(np.uint16))
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return arrays(tmp_path_factory.mktemp("channels") / "data")


def trained(root: Path, *words: str) -> dict[str, Any]:
    return cnntrain.train(*WORDS, f"data.root={root}", f"output={root.parent / 'runs'}", *words)


@pytest.fixture(scope="module")
def run(root: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root.parent / "cache"))
        return trained(root, *DEEP, "augment=flip_crop", "augment.erasing=0.5", "name=whole")


def test_five_channels_of_16_bits_are_learned(run: dict[str, Any]) -> None:
    seen = torch.load(Path(run["run_dir"]) / "best.ckpt", weights_only=True)["preprocess"]
    assert (seen["channels"], seen["depth"], len(seen["mean"])) == (5, 16, 5)
    assert run["test"]["top1"] == 1


def test_images_that_are_read_anew_and_a_resume_give_the_same_run(root: Path, run: dict[str, Any]) -> None:
    words = (*DEEP, "augment=flip_crop", "augment.erasing=0.5", "data.resident=off", "name=parts")
    begun = trained(root, *words, "trainer.epochs=1")
    assert begun["weights_sha256"] != run["weights_sha256"]
    resumed = cnntrain.train(f"resume={begun['run_dir']}", "trainer.epochs=2")
    assert resumed["weights_sha256"] == run["weights_sha256"]


def test_eval_and_predict_answer_as_the_run_did(root: Path, run: dict[str, Any], typed: Typed) -> None:
    folder = Path(run["run_dir"])
    assert typed("eval", f"run={folder}", "device=cpu").returncode == 0
    parts = ("test", "eval-imagefolder-test")
    left, judged = (predictions.read(folder / each / predictions.PREDICTIONS) for each in parts)
    assert left.ids == judged.ids and np.array_equal(left.logits, judged.logits)
    images = [root / each for each in left.ids]
    answers = cnntrain.load(folder, device="cpu").predict([images[0], np.load(images[1])])
    assert [next(iter(each)) for each in answers] == [left.classes[each] for each in left.labels[:2]]
    found = typed("predict", f"run={folder}", f"images={images[0].parent}", "device=cpu", "format=json")
    assert found.returncode == 0 and len([json.loads(line) for line in found.stdout.splitlines()]) == 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("eval", "run={run}", "data.depth=8"), "data.depth=8, but this model takes 16: data.depth=16"),
        (("eval", "run={run}", "corruptions=[noise]"), "corruptions are of 8-bit grey or RGB images"),
        (("export", "run={run}"), "trained on images of 16 bits, and .* takes 8: format=safetensors"),
        (("predict", "run={run}", "images={root}/picture.png"), "has 3 channels, and data.channels=5 asks for others"),
    ],
)
def test_what_does_not_go_with_16_bits_is_refused(
    root: Path, run: dict[str, Any], typed: Typed, words: tuple[str, ...], message: str
) -> None:
    Image.new("RGB", (32, 32)).save(root / "picture.png")
    found = typed(*(each.format(run=run["run_dir"], root=root) for each in words))
    assert found.returncode in (1, 2) and re.search(message, found.stderr)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("augment.auto=trivial",), r"augment.auto=trivial: of the colours of 8-bit grey or RGB images"),
        (("augment.colour_jitter=[0.1,0,0,0]", "augment.greyscale=0.1"), r"colour_jitter=.* and augment.greyscale=0.1"),
    ],
)
def test_colours_are_not_varied_of_what_has_none(root: Path, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        trained(root, *DEEP, *words)


def test_a_source_without_such_images_refuses_the_keys() -> None:
    with pytest.raises(ConfigError, match="depth=16 has no meaning for data=digits"):
        cnntrain.train("data=digits", "data.depth=16")


def test_files_of_other_channels_are_named(root: Path) -> None:
    with pytest.raises(UserError, match=r"\.npy: has the shape \[34, 32, 5\], .* data.channels=5"):
        trained(root)


def low_bits(root: Path) -> Path:
    """Two classes of noise about one grey of 8 bits, a little above it and a little below."""
    for name, side in (("above", 1), ("below", -1)):
        for index in range(24):
            noise = np.random.default_rng([side + 1, index]).integers(-40, 41, (32, 32))
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray((noise + 100 * 257 + side * SHIFT).astype(np.uint16)).save(root / name / f"{index}.png")
    return root


def test_only_16_bits_tell_classes_that_differ_in_the_low_8(tmp_path: Path) -> None:
    root = low_bits(tmp_path / "low")
    keys = ("data.channels=1", "data.batch_size=4", "trainer.epochs=3")
    accuracy = {depth: trained(root, *keys, f"data.depth={depth}")["test"]["top1"] for depth in (8, 16)}
    assert accuracy == {8: 0.5, 16: 1.0}

"""An exported network is judged, from image files on, as the run that it is of."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import cnntrain
from cnntrain.build import predicting
from cnntrain.cli import compose_and_start
from cnntrain.core.errors import ConfigError, InputError, RunError
from cnntrain.export import bundle
from cnntrain.models import registry
from cnntrain.runs import predictions

CLASSES = {"ant": 40, "bee": 60, "cat": 80}
MODES = ("L", "RGB", "RGBA", "P", "LA")
WORDS = (
    "data=imagefolder", "data.image_size=32", "data.batch_size=8", "data.num_workers=0", "model=lenet5",
    "trainer.device=cpu", "trainer.epochs=3", "optim.lr=0.02", "data.crop_fraction=0.9",
)  # fmt: skip


def draw(root: Path, part: str, count: int) -> None:
    """Files of many sizes and modes."""
    for number, (name, grey) in enumerate(CLASSES.items()):
        (root / part / name).mkdir(parents=True)
        for index in range(count):
            generator = np.random.default_rng([number, index, count])
            size = generator.integers(9, 90, 2)
            pixels = Image.fromarray(generator.normal(grey, 25, size).clip(0, 255).astype(np.uint8))
            pixels.convert(MODES[index % len(MODES)]).save(root / part / name / f"{index}.png")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("greys")
    for part, count in (("train", 8), ("val", 15), ("test", 7)):
        draw(root, part, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        return Path(cnntrain.train(*WORDS, f"data.root={root}", f"output={root / 'runs'}")["run_dir"])


def export(run: Path, *words: str) -> Path:
    made = compose_and_start("export", [f"run={run}", *words]).made
    assert made is not None
    return Path(made)


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    return export(run)


def facts(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "export.json").read_text())


def test_its_answers_are_those_of_the_run(run: Path, exported: Path) -> None:
    assert sorted(each.name for each in exported.iterdir()) == ["README.md", "export.json", "model.onnx", "val"]
    proof = facts(exported)["proof"]
    assert proof["count"] == 45 and proof["changed"] == 0 and proof["largest"] < 1e-5
    assert proof["exported"] == proof["ours"] == json.loads((run / "result.json").read_text())["best"]["val/top1"]
    made = compose_and_start("eval", [f"run={exported / 'model.onnx'}", "pictures=false"]).made
    found, expected = (predictions.read(each / "predictions.parquet") for each in (Path(str(made)), run / "test"))
    assert list(found.ids) == list(expected.ids)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)
    assert np.ptp(expected.logits.argmax(1)) > 0  # it does not say the same of all


def test_it_predicts_as_the_run_does(run: Path, exported: Path) -> None:
    files = sorted((run.parents[2] / "test").rglob("*.png"))
    ours, theirs = cnntrain.load(run), cnntrain.load(exported / "model.onnx")
    assert isinstance(theirs, bundle.Bundle) and theirs.classes == ours.classes and theirs.seen == ours.seen
    assert theirs.temperature == ours.temperature is not None
    for one, other in zip(ours.predict(files), theirs.predict(files), strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    least = predicting.threshold([theirs], 0.2)
    assert least == pytest.approx(predicting.threshold([ours], 0.2), abs=1e-5) and 1 / 3 < least < 1


@pytest.mark.no_cover
def test_other_programs_find_all_that_they_need_in_the_file(exported: Path) -> None:
    """By onnxruntime alone, without cnntrain."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported / "model.onnx"))
    (given,), results = session.get_inputs(), session.get_outputs()
    assert given.type == "tensor(uint8)" and given.shape == ["batch", "height", "width", 3]
    assert [each.shape for each in results] == [["batch", 3]] * 2
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list(CLASSES)
    images = np.random.default_rng(0).integers(0, 256, (5, 71, 40, 3)).astype(np.uint8)
    logits, probabilities = session.run(None, {given.name: images})
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert logits.shape == (5, 3)


def test_the_card_says_how_good_it_is_and_how_it_was_made(run: Path, exported: Path) -> None:
    card, result = (exported / "README.md").read_text(), json.loads((run / "result.json").read_text())
    test = result["test"]
    assert f"| test, the run's own | 21 | {test['top1']:.2%} (" in card
    assert result["command"] in card and f"cnntrain export run={run}" in card
    assert result["data"]["fingerprint"] in card and "'ant', 'bee'" in card
    code = card.split("```python\n")[1].split("```")[0]
    place = exported.parent / "used"
    shutil.copytree(exported, place)
    Image.new("RGB", (50, 40), "grey").save(place / "image.png")
    said: list[str] = []
    code = code.replace('"model.onnx"', repr(str(place / "model.onnx"))).replace("image.png", str(place / "image.png"))
    exec(code, {"print": said.append})
    assert said[0] in CLASSES


def test_what_was_exported_is_neither_seen_nor_computed_otherwise(exported: Path) -> None:
    for word in ("data.crop_fraction=0.5", "tta=flip"):
        with pytest.raises(ConfigError, match="prepares images by itself"):
            compose_and_start("eval", [f"run={exported / 'model.onnx'}", word])
    with pytest.raises(ConfigError, match="computes on the CPU"):
        bundle.require_cpu([bundle.read(exported / "model.onnx")], "cuda")


def test_a_file_that_is_none_of_ours_is_named(exported: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(exported / "model.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "other.onnx")
    (tmp_path / "damaged.onnx").write_bytes((exported / "model.onnx").read_bytes()[:5000])
    for name, reason in (("other", "is no bundle"), ("damaged", "cannot be read as an ONNX"), ("none", "no such file")):
        with pytest.raises(InputError, match=reason):
            bundle.read(tmp_path / f"{name}.onnx")


def test_weights_alone_are_loaded_by_timm(run: Path) -> None:
    folder = export(run, "format=safetensors")
    assert facts(folder)["timm"] and facts(folder)["proof"]["largest"] < 1e-6
    registry.register()
    path = str(folder / "model.safetensors")
    network = timm.create_model("lenet5", num_classes=3, in_chans=3, checkpoint_path=path).eval()
    ours = cnntrain.load(run)
    seen = ours.preprocess(np.full((32, 32, 3), 70, dtype=np.uint8))
    with torch.inference_mode():
        torch.testing.assert_close(network(seen), ours.network(seen))
    assert Path(path).stat().st_size < (run / "best.ckpt").stat().st_size


def test_what_cannot_be_written_is_refused_before_anything_is_done(
    exported: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="is there already"):
        export(run, f"output={exported}")
    for words, problem in (
        (["int8=true", "format=torch"], "int8=true goes with format=onnx"),
        (["fold=true", "format=safetensors"], "leave it out"),
        (["calibrate=5"], "add it, or leave it out"),
    ):
        with pytest.raises(ConfigError, match=problem):
            export(run, *words)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r'needs the package onnxruntime.*pip install "cnntrain\[export\]"'):
        export(run, "output=unwritten")


def test_a_network_that_does_not_answer_alike_leaves_nothing(
    run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: Callable[..., Any]
) -> None:
    from cnntrain.export import layout

    loaded = layout.loaded

    def other(folder: Path, found: Any) -> Any:
        network, by_timm = loaded(folder, found)
        with torch.no_grad():
            next(network.parameters()).add_(0.1)
        return network, by_timm

    monkeypatch.setattr(layout, "loaded", other)
    with pytest.raises(RunError, match="does not answer as the run's own"):
        export(run, "format=safetensors", f"output={tmp_path / 'made'}")
    assert not list(tmp_path.iterdir())
    assert typed("export", f"run={run}", "format=safetensors", "output=made").returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("words", [("int8=true", "tolerance=0.1"), ("format=torch",), ("fold=false",)])
def test_other_kinds_are_proven_too(run: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    folder = export(run, *words, f"output={tmp_path / 'made'}")
    assert facts(folder)["proof"]["count"] == 45
    assert facts(folder)["int8"] == ("int8=true" in words)

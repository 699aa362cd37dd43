"""What classifies no images is exported, too: for signals, volumes, masks, made images; it answers as its run does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from slow import slow_if

import cnntrain
from cnntrain.build.trained import Trained
from cnntrain.cli import compose_and_start
from cnntrain.core.adversaries import latents
from cnntrain.core.errors import ConfigError, InputError, RunError
from cnntrain.data.sets.dataset import Part
from cnntrain.export import bundle, inputs, program
from cnntrain.runs import predictions

PLAIN = (
    "trainer.device=cpu", "trainer.epochs=1", "report.html=false", "model.pretrained=false", "data.num_workers=0",
    "data.resident=off",
)  # fmt: skip
SIZES = ("data.train_size=24", "data.val_size=10", "data.batch_size=8")
RUNS = {
    "signals": ("data=mnist1d", "data.train_per_class=10", "model=resnet1d", "model.args.widths=[4,4,8]"),
    "volumes": (
        "data=moving_digits", *SIZES, "data.test_size=8", "data.length=6", "data.frames=4", "data.image_size=16",
        "data.crop_fraction=0.9", "model=resnet3d", "model.args.width=4",
    ),
    "masks": (
        "task=segment", "data=digit_scenes", *SIZES, "data.test_size=6", "data.canvas=40", "data.image_size=32",
        "model=fcn", "model.backbone=resnet20",
    ),
    "made": (
        "task=generate", "task.samples=130", "data=fake", *SIZES, "data.test_size=5", "data.image_size=28",
        "data.channels=1", "model=dcgan", "model.args.width=4", "model.args.latent=6", "recipe=dcgan2016",
        "optim.lr=0.0002",
    ),
    "boxes": (
        "task=detect", "data=digit_scenes", *SIZES, "data.test_size=4", "data.canvas=40", "data.image_size=32",
        "model=mask_rcnn", "model.backbone=resnet20", "optim=adamw", "task.metrics=[mask_map]",
        "model.args={channels: 16, hidden: 16, mask_channels: 8, box_batch_size_per_image: 16, box_score_thresh: 0.02}",
    ),
}  # fmt: skip
DEAR = ("volumes", "boxes")  # 20 and 40 seconds to train and export, and what else is done with them a few
KINDS = slow_if(DEAR, RUNS)
Made = Callable[[str], tuple[Path, Path]]  # of a kind of run its folder and that of its export


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    done: dict[str, tuple[Path, Path]] = {}

    def of(kind: str) -> tuple[Path, Path]:
        if kind not in done:
            run = Path(cnntrain.train(*RUNS[kind], *PLAIN, f"output={tmp_path_factory.mktemp(kind)}")["run_dir"])
            done[kind] = run, export(run)
        return done[kind]

    return of


def export(run: Path, *words: str) -> Path:
    return Path(str(compose_and_start("export", [f"run={run}", *words]).made))


def proof(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "export.json").read_text())["proof"]
    return found


def part_of(found: Trained) -> Part:
    return found.config.data.load().val


@pytest.mark.parametrize(
    ("kind", "shape", "answers"),
    [
        ("signals", ["batch", 1, 40], ["batch", 10]),
        pytest.param("volumes", ["batch", "frames", "height", "width", 1], ["batch", 8], marks=pytest.mark.slow),
        ("masks", ["batch", "height", "width", 1], ["batch", 11, 32, 32]),
    ],
)
def test_onnxruntime_alone_answers_as_the_run(kind: str, shape: list[Any], answers: list[Any], made: Made) -> None:
    run, folder = made(kind)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    (given,), results = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape) == ("images" if kind == "masks" else kind, shape)
    assert [each.shape for each in results] == [answers] * 2
    found = cnntrain.load(run, device="cpu")
    samples = [part_of(found).images[each] for each in range(3)]
    if kind == "volumes":  # of other sizes, and other numbers of frames, than the run's own
        samples = [samples[0].repeat(1, 1, 2, 1), samples[1][:, :3], samples[2].repeat(1, 2, 1, 1)]
    for each in samples:
        logits, probabilities = session.run(None, {given.name: inputs.laid_out(each)[None]})
        seen = found.seen(found.seen.fit(each, 0)[0][None], found.device, torch.float32)
        with torch.no_grad():
            expected, wanted = found.network(seen).numpy(), found.probabilities(seen).numpy()
        np.testing.assert_allclose(logits, expected, atol=1e-4)
        np.testing.assert_allclose(probabilities, wanted, atol=1e-5)
    assert np.ptp(expected) > 1e-2


@pytest.mark.parametrize("kind", slow_if(DEAR, ["signals", "volumes", "masks"]))
def test_the_file_is_judged_as_the_run(kind: str, made: Made) -> None:
    run, folder = made(kind)
    found, best = proof(folder), json.loads((run / "result.json").read_text())["best"]
    first = "miou" if kind == "masks" else "top1"
    assert found["ours"] == pytest.approx(best[f"val/{first}"], abs=1e-9) == pytest.approx(found["exported"], abs=1e-3)
    assert found["count"] == len(part_of(cnntrain.load(run, device="cpu")))
    pixels = 32 * 32 if kind == "masks" else 1
    assert found["compared"] == found["count"] * pixels and found["changed"] == 0 and found["largest"] < 1e-5
    assert json.loads((folder / "export.json").read_text())["folded"] > 0
    evaluated = Path(
        str(compose_and_start("eval", [f"run={folder / 'model.onnx'}", "pictures=false", "part=val"]).made)
    )
    figures = json.loads((evaluated / "eval.json").read_text())
    assert figures[first] == pytest.approx(found["exported"], abs=1e-9)
    assert figures["loss"] == pytest.approx(best["val/loss"], abs=1e-5)
    if kind == "signals":
        assert np.array_equal(
            *(predictions.read(each / "predictions.parquet").labels for each in (evaluated, folder / "val"))
        )
    elif kind == "masks":
        assert (folder / "val" / "per_image.parquet").exists() and len(figures["per_class"]) == 11


def predicted(run: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert compose_and_start("predict", [f"run={run}", "format=json", "device=cpu", *words]).code == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("kind", ["signals", "volumes"])
def test_files_are_predicted_as_by_the_run(
    kind: str, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, folder = made(kind)
    images, place = part_of(cnntrain.load(run, device="cpu")).images, tmp_path / "given.npy"
    np.save(place, images.tensor[:5].numpy() if kind == "signals" else images[0][0].numpy())
    ours, theirs = (predicted(each, capsys, f"images={place}") for each in (run, folder / "model.onnx"))
    assert [each["class"] for each in ours] == [each["class"] for each in theirs] and len(ours) in (5, 1)
    for one, other in zip(ours, theirs, strict=True):
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-5)


def test_masks_are_painted_as_by_the_run(made: Made, tmp_path: Path) -> None:
    run, folder = made("masks")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 37), np.uint8)).save(tmp_path / "a.png")
    for name, place in (("ours", run), ("theirs", folder / "model.onnx")):
        words = [f"run={place}", f"images={tmp_path / 'a.png'}", f"output={tmp_path / name}", "device=cpu"]
        assert compose_and_start("predict", words).code == 0
    for name, levels in (
        ("a.png", 1),
        ("a-mask.png", 0),
    ):  # colours are mixed by halves, which may be rounded either way
        one, other = (np.array(Image.open(tmp_path / each / name)).astype(int) for each in ("ours", "theirs"))
        assert one.shape[:2] == (32, 32) and np.abs(one - other).max() <= levels


def test_an_exported_generator_makes_the_images_of_the_run(made: Made, tmp_path: Path) -> None:
    run, folder = made("made")
    found, best = proof(folder), json.loads((run / "result.json").read_text())["best"]
    assert (found["metric"], found["count"], found["compared"]) == ("pixel_distance", 10, 130 * 28 * 28)
    assert found["ours"] == pytest.approx(best["val/pixel_distance"]) == pytest.approx(found["exported"], rel=1e-4)
    assert found["largest"] < 1e-5 and not (folder / "val").exists()
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    ours, numbers = cnntrain.load(run, device="cpu"), latents(range(5), 6)
    values, images = session.run(None, {"latents": numbers.numpy()})
    with torch.no_grad():
        wanted = ours.network.generate(numbers)
    np.testing.assert_allclose(values, wanted.numpy(), atol=1e-5)
    assert images.dtype == np.uint8 and images.shape == (5, 28, 28, 1)
    for name, place in (("ours", run), ("theirs", folder / "model.onnx")):
        compose_and_start("predict", [f"run={place}", "samples=5", f"output={tmp_path / name}", "device=cpu"])
    for number in range(1, 6):
        one, other = (np.array(Image.open(tmp_path / each / f"{number:05}.png")) for each in ("ours", "theirs"))
        assert (
            np.abs(one.astype(int) - other).max() <= 1
            and np.abs(other - images[number - 1, ..., 0].astype(int)).max() == 0
        )
    with pytest.raises(InputError, match="makes images and judges none"):
        compose_and_start("eval", [f"run={folder / 'model.onnx'}", "part=val"])
    with pytest.raises(ConfigError, match="int8=true is of networks that give logits, and task=generate makes images"):
        export(run, "int8=true", f"output={tmp_path / 'bits'}")


@pytest.mark.slow
def test_an_exported_detector_finds_what_the_run_finds(made: Made, tmp_path: Path) -> None:
    run, folder = made("boxes")
    found, best = proof(folder), json.loads((run / "result.json").read_text())["best"]
    assert (
        found["metric"] == "map" and found["answers"] == "detections" and found["changed"] < 5 < 500 < found["compared"]
    )
    assert found["ours"] == pytest.approx(best["val/map"], abs=1e-9) and found["largest"] < 1e-4
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    assert session.get_inputs()[0].shape == [1, "height", "width", 1]
    ours = cnntrain.load(run, device="cpu")
    for each in (part_of(ours).images[0], torch.zeros(1, 20, 50, dtype=torch.uint8)):
        boxes, scores, labels, masks = session.run(None, {"images": inputs.laid_out(each)[None]})
        seen = ours.seen(ours.seen.fit(each, 0)[0][None], ours.device, torch.float32)
        with torch.no_grad():
            wanted = ours.network(seen)
        there = wanted.boxes[0][wanted.boxes[0][:, 0] >= 0]
        assert len(there) == len(boxes) == len(masks) and labels.tolist() == there[:, 0].tolist()
        np.testing.assert_allclose(scores, there[:, 1], atol=1e-5)
        np.testing.assert_allclose(boxes, there[:, 2:], atol=1e-3)
        np.testing.assert_allclose(masks, wanted.masks[0], atol=1e-3)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 37), np.uint8)).save(tmp_path / "a.png")
    for name, place in (("ours", run), ("theirs", folder / "model.onnx")):
        words = [f"run={place}", f"images={tmp_path / 'a.png'}", f"output={tmp_path / name}", "device=cpu"]
        assert compose_and_start("predict", words).code == 0
    assert np.array_equal(*(np.array(Image.open(tmp_path / each / "a.png")) for each in ("ours", "theirs")))
    evaluated = compose_and_start("eval", [f"run={folder / 'model.onnx'}", "part=val", "pictures=false"]).made
    figures = json.loads((Path(str(evaluated)) / "eval.json").read_text())
    assert figures["map"] == pytest.approx(best["val/map"], abs=1e-6) and figures["loss"] is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_code_of_a_card_runs(kind: str, made: Made, tmp_path: Path) -> None:
    _, folder = made(kind)
    card = (folder / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0]
    said: list[Any] = []
    for each in ("model.onnx", "export.json"):
        os.link(folder / each, tmp_path / each)
    np.save(tmp_path / "signals.npy", np.zeros((3, 1, 40), np.float32))
    np.save(tmp_path / "volume.npy", np.zeros((5, 20, 30, 1), np.uint8))
    Image.new("L", (50, 40)).save(tmp_path / "image.png")
    with chdir(tmp_path):
        exec(code, {"print": said.append})
    assert said or kind == "boxes"  # which may find nothing
    assert kind != "made" or np.array(Image.open(tmp_path / "made.png")).shape == (28, 28)
    assert proof(folder)["inputs"] in card and f"of {proof(folder)['compared']:,}" in card


def test_of_networks_side_by_side_the_one_that_val_chose_is_exported(tmp_path: Path) -> None:
    words = ("data=fake", *SIZES, "data.test_size=5", "model=lenet5", "transfer=probe_depths", "transfer.features=20",
             "transfer.lr_grid=[0.01,1.0]", "transfer.decay_grid=[0.0]", "transfer.random_weights=false")  # fmt: skip
    run = Path(cnntrain.train(*words, *PLAIN, f"output={tmp_path}")["run_dir"])
    found = proof(export(run, "format=torch"))
    assert found["changed"] == 0 and found["largest"] < 1e-5
    assert found["ours"] == json.loads((run / "result.json").read_text())["best"]["val/top1"]
    loaded = cnntrain.load(run, device="cpu")
    image = part_of(loaded).images[0]
    (told,), (answer,) = loaded.explain([image], "saliency"), loaded.predict([image])
    assert (told.answer, told.probability) == pytest.approx(next(iter(answer.items())))


@pytest.mark.parametrize("kind", ["masks", "made"])
def test_a_graph_that_answers_otherwise_leaves_nothing(
    kind: str, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = made(kind)
    fold = program.fold

    def other(exported: torch.export.ExportedProgram) -> int:
        kernel = next(each for each in exported.state_dict.values() if each.ndim == 4)
        with torch.no_grad():
            kernel.mul_(1.5)
        return fold(exported)

    monkeypatch.setattr(program, "fold", other)
    said = {"made": "values of 130 made images", "masks": "pixels"}[kind]
    with pytest.raises(RunError, match=f"of [0-9,]+ {said} changed.*nothing was written"):
        export(run, "format=torch", f"output={tmp_path / 'made'}")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("kind", KINDS)
def test_weights_alone_are_proven_too(kind: str, made: Made, tmp_path: Path) -> None:
    folder = export(made(kind)[0], "format=safetensors", f"output={tmp_path / 'weights'}")
    assert proof(folder)["changed"] == 0 and proof(folder)["largest"] < 1e-5
    sides = {"signals": [1, 40], "volumes": [1, 4, 16, 16], "masks": [1, 32, 32], "made": [1, 28, 28]}
    sides["boxes"] = [1, 32, 32]
    assert json.loads((folder / "config.json").read_text())["pretrained_cfg"]["input_size"] == sides[kind]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*RUNS])
def test_programs_and_8_bits_are_proven_too(kind: str, made: Made, tmp_path: Path) -> None:
    run, _ = made(kind)
    assert proof(export(run, "format=torch", f"output={tmp_path / 'torch'}"))["largest"] < 1e-5
    if kind not in ("made", "boxes"):
        folder = export(run, "int8=true", "tolerance=1", f"output={tmp_path / 'bits'}")
        assert 0 < proof(folder)["largest"] < 1
        assert isinstance(cnntrain.load(folder / "model.onnx"), bundle.Bundle)

"""Signals and volumes in the same loop: learned, continued, frozen, judged, predicted; what is for images refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from composing import composed
from npz import arrays_of
from slow import slow_if

import cnntrain
from cnntrain import cli
from cnntrain.build.run import build
from cnntrain.config.check import check
from cnntrain.config.schema import TrainConfig
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.data.batches.plan import WHOLE, eval_plan
from cnntrain.data.batches.shaped import AsItIs, middles

PLAIN = ("trainer.device=cpu", "report.html=false", "data.resident=ram", "model.pretrained=false", "trainer.epochs=2")
SIGNALS = ("model=lenet1d", "data=mnist1d", "data.train_per_class=10", *PLAIN)
CLIPS = (
    "model=resnet3d", "model.args.width=4", "data=moving_digits", "data.length=4", "data.image_size=16",
    "data.train_size=32", "data.val_size=16", "data.test_size=16", "data.batch_size=16", *PLAIN,
)  # fmt: skip


def trained(output: Path, *words: str) -> dict[str, Any]:
    assert cli.main([*words, f"output={output}"]) == 0
    (result,) = output.glob("*/*/result.json")
    return json.loads(result.read_text()) | {"folder": result.parent}


@pytest.mark.parametrize("words", [SIGNALS, CLIPS], ids=["signals", "volumes"])
def test_a_run_that_goes_on_is_one_that_was_never_stopped(tmp_path: Path, words: tuple[str, ...]) -> None:
    words = (*words, "augment.mixup=0.2", "model.drop_rate=0.2", "trainer.ema_decay=0.9")
    whole = trained(tmp_path / "whole", *words)
    begun = trained(tmp_path / "parts", *words, "trainer.epochs=1")
    assert cli.main([f"resume={begun['folder']}", "trainer.epochs=2"]) == 0
    done = json.loads((begun["folder"] / "result.json").read_text())
    assert begun["weights_sha256"] != whole["weights_sha256"] == done["weights_sha256"]
    assert done["test"] == whole["test"]


@pytest.mark.parametrize("words", [SIGNALS, CLIPS], ids=["signals", "volumes"])
def test_a_frozen_part_that_is_kept_trains_the_same_head(tmp_path: Path, words: tuple[str, ...]) -> None:
    kept, plain = (
        trained(tmp_path / cache, *words, "transfer=linear_probe", f"transfer.cache={cache}")
        for cache in ("ram", "off")
    )
    assert [each["frozen"]["kept"]["train"] for each in (kept, plain)] == ["ram", "off"]
    assert kept["test"]["loss"] == pytest.approx(plain["test"]["loss"], rel=1e-5)


def test_one_frame_is_the_middle_one(tmp_path: Path) -> None:
    config = check(composed([*CLIPS, "data.frames=1", f"output={tmp_path}"]), TrainConfig)
    run = build(config)
    (batch,) = run.loaders.val.batches(eval_plan(4, 4, WHOLE))
    assert batch.inputs.shape == (4, 1, 1, 16, 16)
    seen = run.loaders.preprocess
    middle = (run.data.val.images[0][:, 2] / 255 - seen.mean[0]) / seen.std[0]
    torch.testing.assert_close(batch.inputs[0, :, 0], middle, rtol=1e-5, atol=1e-5)


def test_predictions_on_a_file_are_those_of_the_evaluation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = trained(tmp_path / "run", *SIGNALS)
    found = cnntrain.load(run["folder"], device="cpu")
    signals = found.config.data.load().test.images.tensor[:5]
    np.save("five.npy", signals.numpy())
    Path("five.csv").write_text("\n".join(",".join(map(str, each[0].tolist())) for each in signals))
    with torch.no_grad():
        wanted = found.probabilities(found.seen(signals, found.device, torch.float32)).max(1).values
    for name in ("five.npy", "five.csv"):
        capsys.readouterr()
        assert cli.main(["predict", f"run={run['folder']}", f"images={name}", "topk=1", "format=json"]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [row["image"] for row in rows] == [f"{name}:{number}" for number in range(1, 6)]
        assert [row["probability"][0] for row in rows] == pytest.approx(wanted.tolist(), abs=1e-6)
    np.save("long.npy", np.zeros((2, 1, 41), np.float32))
    assert cli.main(["predict", f"run={run['folder']}", "images=long.npy"]) == 2
    assert "the network takes 1 x 40" in capsys.readouterr().err
    handed_over = found.predict([*signals[:, 0].numpy()])
    assert [max(each.values()) for each in handed_over] == pytest.approx(wanted.tolist(), abs=1e-6)
    assert cli.main(["eval", f"run={run['folder']}", "tta=flip"]) == 2
    assert "is for images" in capsys.readouterr().err


@pytest.mark.parametrize("words", slow_if([CLIPS], [SIGNALS, CLIPS], lambda words: words[0]))
def test_what_a_network_looks_at_has_the_sides_of_what_it_sees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = trained(tmp_path / "run", *words, "trainer.epochs=1")["folder"]
    found = cnntrain.load(run, device="cpu")
    given = [each.numpy() for each in found.config.data.load().test.images.tensor[:6]]
    sides, is_signal = found.seen.shape[1:], found.seen.dimensions == 1
    if is_signal:
        np.save("in.npy", np.stack(given))
    else:
        given = [each[0] for each in given]  # grey, as a file has them
        Path("in").mkdir()
        for number, each in enumerate(given):
            np.save(f"in/{number}.npy", each)
    common = ("explain", f"run={run}", "device=cpu", "num_workers=0", "tensorboard=false")
    images, names = ("images=in.npy", "in.npy:1") if is_signal else ("images=in", "in/0.npy")
    assert cli.main([*common, images, "method=occlusion", "output=maps", f"target={found.classes[1]}"]) == 0
    facts, kept = json.loads(Path("maps/explain.json").read_text()), arrays_of(Path("maps/maps.npz"))
    assert kept["maps"].shape == (6, *sides) and facts["images"][0]["image"] == kept["images"][0] == names
    for values, each in zip(kept["maps"], found.explain(given, "occlusion", target=found.classes[1]), strict=True):
        np.testing.assert_allclose(values, each.map, atol=1e-5)
        assert each.seen.shape == (*sides, 1) and each.target == found.classes[1]
    np.testing.assert_allclose(each.seen[..., 0], given[-1][0] if is_signal else given[-1] / 255, atol=1e-5)
    for name, *more in (
        ("gradcam", images), ("filters",), ("feature_maps", images, "method.channels=3"),
        ("class_means", images), ("embeddings", images, "method.by=pca", "method.queries=1"),
    ):  # fmt: skip
        assert cli.main([*common, f"method={name}", f"output={name}", *more]) == 0
        assert [*Path(name).glob("*.png")]
    capsys.readouterr()
    for name in ("maximise", "top_patches", "bagnet"):
        assert cli.main([*common, f"method={name}", *([] if name == "maximise" else [images])]) == 2
        assert f"method={name} is for images, and data={found.config.data.name} has" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*SIGNALS, "data.image_size=32", "data.crop=pad"), "image_size=32 and crop=pad: for images"),
        ((*SIGNALS, "data.depth=8"), "data=mnist1d: signals are float32, depth=32"),
        ((*SIGNALS, "data.background=black"), "background=black: for images"),
        (("data=digits", "data.depth=32"), "depth=32 has no meaning for data=digits: depth=32 is for signals"),
        ((*SIGNALS, "augment=flip_crop"), "augment=flip_crop is for images, and data=mnist1d has signals"),
        ((*CLIPS, "augment=shift_noise"), "augment=shift_noise is for signals, and data=moving_digits has volumes"),
        ((*SIGNALS, "augment.cutmix=1", "augment.auto=rand"), "augment.auto=rand and augment.cutmix=1: for images"),
        ((*CLIPS, "augment.erasing=0.1"), "augment.erasing=0.1: for images"),
        ((*CLIPS, "trainer.memory_format=channels_last"), "trainer.memory_format=channels_last: for images"),
        ((*SIGNALS, "model.scale.resolution=2"), "model.scale.resolution=2: for images"),
    ],
)
def test_what_is_for_images_alone_is_refused_by_name(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(composed(words), TrainConfig)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*SIGNALS, "model=resnet20"), "CifarResNet is made for images, and the data are signals, which lenet1d"),
        (("data=moving_digits", "model=fcn1d", *PLAIN), "FCN1d is made for signals, and the data are volumes"),
        (("data=digits", "model=lenet3d", *PLAIN), "LeNet3d is made for volumes, and the data are images"),
        (("data=moving_digits", "model=s3d", "data.frames=2", *PLAIN), "S3D does not take 2x24x24 volumes"),
        ((*SIGNALS, "model.stem=cifar"), "model.stem=cifar: LeNet1d has no stem"),
        ((*SIGNALS, "model=fcn1d", "model.norm=group"), "a BatchNorm1d, which nothing can stand for"),
    ],
)
def test_a_network_of_other_sides_is_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(check(composed(words), TrainConfig))


def test_a_signal_of_another_length_is_no_input() -> None:
    assert AsItIs((1, 3))(torch.ones(1, 3), 7)[1] == 7
    with pytest.raises(InputError, match="a signal of 1x4 values, and the network was made for 1x3"):
        AsItIs((1, 3))(torch.ones(1, 4), 7)
    assert (middles(8, 1), middles(8, 4), middles(3, 6)) == ([4], [1, 3, 5, 7], [0, 0, 1, 1, 2, 2])

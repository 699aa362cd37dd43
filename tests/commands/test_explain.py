"""What the command leaves is what the methods give for the images of the files, and what it cannot do it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from composing import composed
from npz import arrays_of
from omegaconf import OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import cnntrain
from cnntrain.commands.explain import Explain
from cnntrain.config.check import check
from cnntrain.config.groups import ALL_PLUGINS, builtin_dir, plugin_class, plugin_names
from cnntrain.config.method import Method
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.study.explain.base import Attribution, Pictures

Typed = Callable[..., Any]
OWN = """
from dataclasses import dataclass

from cnntrain.study.explain.base import Attribution, Maps, Picture, Pictures


@dataclass(frozen=True)
class Brightness(Attribution):
    factor: float

    def maps(self, subject, inputs, targets):
        return Maps(self.factor * inputs.mean(1), [{"mean": float(each.mean())} for each in inputs])


@dataclass(frozen=True)
class MeanImage(Pictures):
    uses_layer = True

    def pictures(self, subject, shown):
        from matplotlib.figure import Figure

        for positions, inputs in shown.batches():
            figure = Figure(figsize=(1, 1))
            figure.subplots().imshow(inputs.mean((0, 1)).numpy())
            yield Picture("mean", figure, {"values": inputs.mean(0).numpy()}, {"images": len(positions)})
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("greys")
    rng = np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 4), ("test", 1)):
        for name, grey in {"ant": 40, "bee": 80, "cat": 120}.items():
            for index in range(count):
                (root / part / name).mkdir(parents=True, exist_ok=True)
                pixels = rng.normal(grey, 25, (40, 36)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{index}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        made = cnntrain.train(
            "data=imagefolder", f"data.root={root}", "data.image_size=32", "data.batch_size=8", "data.num_workers=0",
            "data.channels=1", "model=lenet5", "trainer.device=cpu", "trainer.epochs=1", f"output={root / 'runs'}",
        )["run_dir"]  # fmt: skip
    return Path(made)


def test_root(run: Path) -> Path:
    return run.parents[2] / "test"


test_root.__test__ = False  # type: ignore[attr-defined]


def explain(typed: Typed, run: Path, *words: str, code: int = 0) -> Any:
    found = typed("explain", f"run={run}", "device=cpu", "num_workers=0", *words)
    assert found.returncode == code, found.stderr
    return found


def test_the_folder_holds_maps_pictures_and_facts(typed: Typed, run: Path, tmp_path: Path) -> None:
    words = (f"images={test_root(run)}", "method=integrated_gradients", "method.steps=4", "target=label")
    made = Path(explain(typed, run, *words, "batch_size=2").stdout.splitlines()[-1])
    assert made == run / "explain-integrated_gradients"
    facts = json.loads((made / "explain.json").read_text())
    assert facts["method"] == {"name": "integrated_gradients", "steps": 4} and facts["layer"] is None
    assert facts["command"].startswith("cnntrain explain run=")
    rows = facts["images"]
    assert [each["target"] for each in rows] == ["ant", "bee", "cat"]
    kept = arrays_of(made / "maps.npz")
    assert kept["maps"].shape == (3, 32, 32) and list(kept["images"]) == [each["image"] for each in rows]

    loaded = cnntrain.load(run, device="cpu")
    files = [each["image"] for each in rows]
    again = loaded.explain(files[::-1], "integrated_gradients", target="label", steps=4)[::-1]
    predicted = loaded.predict(files)
    for row, values, one, answer in zip(rows, kept["maps"], again, predicted, strict=True):
        np.testing.assert_allclose(values, one.map, rtol=1e-3, atol=1e-5)
        assert row["probability"] == pytest.approx(answer[row["target"]], abs=1e-6)
        assert row["answer"] == next(iter(answer)) and row["completeness_error"] < 0.5
        assert len(row["sha256"]) == 64
    for file, width in ((rows[0]["picture"], 900), ("sheet.png", 1020)):
        with Image.open(made / file) as picture:
            assert picture.size[0] == width
    board = EventAccumulator(str(run / "tb")).Reload()
    assert "explain/explain-integrated_gradients" in board.Tags()["images"]


def test_a_second_time_has_a_folder_of_its_own(typed: Typed, run: Path) -> None:
    image = f"images={test_root(run)}/ant/0.png"
    first, second = (
        Path(explain(typed, run, image, "method=gradcam", "tensorboard=false").stdout.splitlines()[-1])
        for _ in range(2)
    )
    assert (first.name, second.name) == ("explain-gradcam", "explain-gradcam-2")
    assert json.loads((first / "explain.json").read_text())["layer"] == "conv2"


def test_a_file_that_cannot_be_read_costs_nothing_else(typed: Typed, run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    Image.new("L", (32, 32), 90).save(tmp_path / "good.png")
    found = explain(typed, run, "images=*.png", f"output={tmp_path / 'out'}", "method=saliency", code=1)
    assert found.stderr.count("bad.png") == 1
    rows = json.loads((tmp_path / "out" / "explain.json").read_text())["images"]
    assert [each["image"] for each in rows] == ["good.png"]
    found = explain(typed, run, "images=*.png", f"output={tmp_path / 'out'}", code=2)
    assert f"output={tmp_path / 'out'} is there already" in found.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("method=gradcamm",), "method=gradcamm does not exist; did you mean"),
        (("layer=conv22",), "layer=conv22: LeNet5 has no such layer; did you mean"),
        (("target=dog",), "target=dog is no class of this network, nor predicted or label"),
        (("method=saliency", "layer=conv2"), "layer=conv2: method=saliency looks at no one layer: leave it out"),
        (("method=occlusion", "method.window=40"), "method.window=40: the network sees 32 x 32 pixels: give less"),
        (("method=occlusion", "method.window=4", "method.stride=5"), "stride=5 is above window=4"),
        (("method=bagnet",), "method=bagnet: LeNet5 is no BagNet that averages"),
        (("method.steps=3",), "unknown key 'method.steps'"),
    ],
)
def test_what_cannot_be_is_said(typed: Typed, run: Path, words: tuple[str, ...], message: str) -> None:
    found = explain(typed, run, f"images={test_root(run)}", *words, code=2)
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_a_label_is_the_folder(typed: Typed, run: Path, tmp_path: Path) -> None:
    Image.new("L", (32, 32), 90).save(tmp_path / "one.png")
    found = explain(typed, run, "images=one.png", "target=label", code=2)
    assert "one.png lies in no folder that is called as one of the network's classes" in found.stderr


def test_own_methods_are_a_file_and_a_yaml(typed: Typed, run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    (tmp_path / "configs" / "method").mkdir(parents=True)
    (tmp_path / "configs" / "method" / "brightness.yaml").write_text("name: brightness\nfactor: 2.0\n")
    (tmp_path / "configs" / "method" / "mean_image.yaml").write_text("name: mean_image\n")
    images, mine = f"images={test_root(run)}", ("--import", "mine.py")
    words = ("explain", f"run={run}", images, "device=cpu", "num_workers=0", "tensorboard=false")
    made = Path(typed(*mine, *words, "method=brightness", "method.factor=3", "output=a").stdout.splitlines()[-1])
    row = json.loads((made / "explain.json").read_text())["images"][0]
    values = arrays_of(made / "maps.npz")["maps"][0]
    assert values.mean() == pytest.approx(3 * row["mean"], rel=1e-4)
    made = Path(typed(*mine, *words, "method=mean_image", "output=b", "batch_size=9").stdout.splitlines()[-1])
    facts = json.loads((made / "explain.json").read_text())
    assert facts["pictures"] == [{"name": "mean", "picture": "mean.png", "images": 3}] and facts["layer"] == "conv2"
    assert arrays_of(made / "arrays.npz")["mean/values"].shape == (1, 32, 32)
    found = typed(*mine, *words, "method=mean_image", "target=ant")
    assert found.returncode == 2 and "target=ant: method=mean_image has none" in found.stderr


def test_from_python_images_in_memory_are_explained_without_gradients_around(run: Path) -> None:
    found = cnntrain.load(run, device="cpu")
    pixels = np.random.default_rng(1).integers(0, 255, (32, 32), dtype=np.uint8)
    (plain,) = found.explain([pixels], "gradcam++", target="bee")
    with torch.inference_mode():
        (same,) = found.explain([Image.fromarray(pixels)], "gradcam++", target="bee")
    np.testing.assert_array_equal(plain.map, same.map)
    assert (plain.image, plain.target, plain.seen.shape) == ("0", "bee", (32, 32, 1))
    with pytest.raises(ConfigError, match="stepps"):
        found.explain([pixels], "integrated_gradients", stepps=3)
    with pytest.raises(ConfigError, match="method=gradcan does not exist"):
        found.explain([pixels], "gradcan")
    with pytest.raises(InputError, match="is not an image"):
        found.explain([3])


@pytest.mark.parametrize("name", plugin_names("method"))
def test_a_methods_yaml_states_exactly_the_fields_of_its_class(name: str) -> None:
    kind = plugin_class("method", name)
    assert issubclass(kind, Attribution | Pictures) and ALL_PLUGINS["method"] is Method
    assert kind.__module__.rpartition(".")[2] == name
    values = OmegaConf.load(builtin_dir() / "method" / f"{name}.yaml")
    assert values.name == name and set(values) == {each.name for each in fields(kind)}


def test_a_run_and_images_are_required() -> None:
    tree = composed([], "explain")
    with pytest.raises(ConfigError, match="run is required"):
        check(tree, Explain)
    with pytest.raises(ConfigError, match="images is required"):
        check({**tree, "run": "a"}, Explain)
    with pytest.raises(ConfigError, match="images=b: method=filters looks at none: leave it out"):
        check({**composed(["method=filters"], "explain"), "run": "a", "images": "b"}, Explain)


def test_pictures_of_a_network_are_in_its_folder_and_its_tensorboard(typed: Typed, run: Path) -> None:
    words = (f"run={run}", "device=cpu")
    images = f"images={run.parents[2] / 'train'}"
    made = {}
    for name, *more in (
        ("filters", "layer=conv1"), ("embeddings", images, "method.by=pca", "method.queries=0"),
        ("top_patches", images, "layer=conv1", "method.units=[0]", "method.patches=2"),
    ):  # fmt: skip
        done = typed("explain", *words, f"method={name}", *more)
        assert done.returncode == 0, done.stderr
        folder = Path(done.stdout.splitlines()[-1])
        made[name] = json.loads((folder / "explain.json").read_text())
        for each in made[name]["pictures"]:
            with Image.open(folder / each["picture"]) as drawn:
                assert drawn.size[0] > 100
    assert made["top_patches"]["layer"] == "conv1" and made["embeddings"]["layer"] is None
    assert made["embeddings"]["pictures"][0]["classes_by"] == "label" and made["filters"]["layer"] == "conv1"
    tags = EventAccumulator(str(run / "tb")).Reload().Tags()["images"]
    assert {"explain/explain-filters/01-conv1.0", "explain/explain-top_patches/unit-0000"} <= set(tags)
    assert "explain-embeddings-pca" in (run / "tb" / "projector_config.pbtxt").read_text()

"""Real weights on real photographs: python -m pytest -m real, with CNNTRAIN_REAL=<the folder that holds weights/>."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from timm.data import create_transform, resolve_data_config

from cnntrain import cli
from cnntrain.data.sets.named import names

pytestmark = pytest.mark.real
NAME = "tf_efficientnet_lite0"
PHOTOGRAPHS = (
    "astronaut", "brick", "camera", "cat", "cell", "checkerboard", "chelsea", "clock", "coffee", "coins", "colorwheel",
    "grass", "gravel", "hubble_deep_field", "immunohistochemistry", "moon", "page", "retina", "rocket", "text",
)  # fmt: skip


@pytest.fixture
def weights() -> Path:
    if "CNNTRAIN_REAL" not in os.environ:
        pytest.skip("CNNTRAIN_REAL is not set")
    return Path(os.environ["CNNTRAIN_REAL"]) / "weights" / f"{NAME}.safetensors"


@pytest.mark.filterwarnings("default")
def test_logits_of_photographs_are_those_behind_timms_own_transform(
    weights: Path, make_run: Any, tmp_path: Path
) -> None:
    data = pytest.importorskip("skimage.data")
    for number, name in enumerate(PHOTOGRAPHS):
        folder = tmp_path / "photos" / "val" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(getattr(data, name)()).save(folder / f"{name}.png")
    shutil.copytree(tmp_path / "photos" / "val", tmp_path / "photos" / "train")  # a link would be one file in two parts
    words = ("data=imagefolder", f"data.root={tmp_path / 'photos'}", "data.num_workers=0", "data.batch_size=4")
    own = [f"~{key}" for key in ("data.train_size", "data.val_size", "data.test_size", "data.num_classes")]
    run = make_run(*own, *words, f"model={NAME}", f"model.weights={weights}")
    seen = run.loaders.preprocess
    assert (seen.image_size, seen.crop, seen.crop_fraction, seen.interpolation) == (224, "center", 0.875, "bicubic")

    net = timm.create_model(NAME).eval()
    net.load_state_dict(load_file(weights))
    transform = create_transform(**resolve_data_config({}, model=net))
    with torch.no_grad():
        ours = torch.cat([net(batch.inputs) for batch in run.eval_batches("val")])
        files = [tmp_path / "photos" / each for each in run.data.val.ids]
        theirs = torch.cat([net(transform(Image.open(file).convert("RGB"))[None]) for file in files])
    assert len(ours) == len(PHOTOGRAPHS) == 20
    difference = (ours - theirs).abs().max().item()
    print(f"largest difference of a logit, {len(ours)} photographs: {difference:.1e}")
    assert difference <= 1e-4


@pytest.mark.filterwarnings("default")
def test_features_are_worth_what_they_are_behind_timms_own_transform(weights: Path, tmp_path: Path) -> None:
    images = weights.parent.parent / "emoji" / "google"
    output = tmp_path / "features.parquet"
    words = (f"model={NAME}", f"model.weights={weights}", f"images={images}", f"output={output}", "device=cpu")
    assert cli.main(["embed", *words]) == 0
    table = pq.read_table(output)
    labels, ours = np.array(table["label"].to_pylist()), np.array(table["features"].to_pylist())

    net = timm.create_model(NAME).eval()
    net.load_state_dict(load_file(weights))
    transform = create_transform(**resolve_data_config({}, model=net))
    files, rows = names(str(images)), []
    assert table["image"].to_pylist() == files and len(files) == 1906
    for start in range(0, len(files), 64):
        batch = torch.stack([transform(on_white(Path(each))) for each in files[start : start + 64]])
        with torch.inference_mode():
            rows.append(net.forward_head(net.forward_features(batch), pre_logits=True))
    theirs = torch.cat(rows).numpy()
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    mine, other = (cross_val_predict(classifier, features, labels, cv=5) for features in (ours, theirs))
    accuracy = [float((each == labels).mean()) for each in (mine, other)]
    print(f"largest difference of a feature: {np.abs(ours - theirs).max():.1e}; accuracies {accuracy}")
    assert np.abs(ours - theirs).max() < 1e-4 and accuracy[0] == accuracy[1]


def on_white(path: Path) -> Image.Image:
    """An emoji is transparent beside its figure, of which timm says nothing."""
    image = Image.open(path).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")

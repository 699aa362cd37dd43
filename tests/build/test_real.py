"""Real weights on real photographs: python -m pytest -m real, with CNNTRAIN_REAL=<the folder that holds weights/>."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.data import create_transform, resolve_data_config

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

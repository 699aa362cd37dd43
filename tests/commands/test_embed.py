"""Features are those that the network computes, as timm computes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config

from cnntrain.build import trained
from cnntrain.data.sets.named import names
from cnntrain.runs import checkpoint

Typed = Callable[..., Any]
NAME = "test_resnet"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four of each of two colours."""
    for number, name in enumerate(("red", "blue")):
        for index in range(4):
            pixels = np.random.default_rng([number, index]).integers(0, 60, (50, 70, 3), dtype=np.uint8)
            pixels[:, :, 2 * number] += 150
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.png")
    return tmp_path / "photos"


@pytest.fixture
def net(tmp_path: Path) -> torch.nn.Module:
    torch.manual_seed(0)
    net = timm.create_model(NAME).eval()
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    return net


def seen_by_timm(net: torch.nn.Module, files: list[str]) -> torch.Tensor:
    transform = create_transform(**resolve_data_config({}, model=net))
    return torch.stack([transform(Image.open(each)) for each in files])


def test_features_are_timms(typed: Typed, photos: Path, net: Any) -> None:
    words = (f"model={NAME}", "model.weights=weights.safetensors", "device=cpu", f"images={photos}", "num_workers=0")
    files = names(str(photos))
    inputs = seen_by_timm(net, files)
    maps = net.forward_intermediates(inputs, intermediates_only=True)
    for layer, expected in (
        ((), net.forward_head(net.forward_features(inputs), pre_logits=True)),
        (("layer=layer2",), maps[2].mean((2, 3))),
    ):
        done = typed("embed", *words, *layer, f"output=features{len(layer)}.parquet")
        assert (done.returncode, done.stdout) == (0, f"features{len(layer)}.parquet\n"), done.stderr
        table = pq.read_table(f"features{len(layer)}.parquet").to_pydict()
        assert table["image"] == files and table["label"] == [Path(each).parent.name for each in files]
        assert np.abs(np.array(table["features"]) - expected.detach().numpy()).max() < 1e-4
    shown = typed("embed", *words, f"query={files[0]}", "knn=true", "k=3", "format=json")
    facts = json.loads(shown.stdout)
    assert [Path(each["image"]).parent.name for each in facts["nearest"]] == ["blue"] * 3
    assert files[0] not in [each["image"] for each in facts["nearest"]]
    assert facts["knn"]["accuracy"] == 1 and (facts["knn"]["k"], facts["knn"]["count"]) == (3, 8)
    table = typed("embed", *words, f"query={files[5]}", "knn=true", "k=2", "batch_size=3").stdout
    assert "nearest to" in table and "red" in table and "100.00% right" in table


def test_features_of_a_run_and_what_it_does_not_have(
    typed: Typed, photos: Path, make_run: Callable[..., Any], tmp_path: Path
) -> None:
    run = make_run(folder=tmp_path / "run")
    run.saver.write(None)
    last, bad = tmp_path / "run" / checkpoint.LAST, photos / "bad.png"
    bad.write_bytes(b"x")
    words = (f"run={last}", "device=cpu", "num_workers=0")
    done = typed("embed", *words, f"images={photos}", "output=features.parquet")
    assert done.returncode == 1 and "bad.png: cannot be read" in done.stderr
    table = pq.read_table("features.parquet").to_pydict()
    assert len(table["image"]) == 8
    found = trained.read(last, torch.device("cpu"))
    inputs = torch.cat([found.preprocess(each) for each in table["image"]])
    with torch.no_grad():
        logits = found.network.get_classifier()(torch.tensor(table["features"]))
        assert torch.allclose(logits, found.network(inputs), atol=1e-5)
    for more, problem in (
        ((f"images={photos}", "layer=classifir", "knn=true"), "did you mean 'classifier'"),
        ((f"images={photos}",), "give output="),
        (("knn=true",), "images is required"),
        ((f"images={photos}", "knn=true", "model=lenet5"), "give one of run="),
        ((f"images={photos / 'red'}", "knn=true"), "all images are in folders called 'red'"),
        ((f"images={photos}", f"query={bad}"), "query="),
    ):
        refused = typed("embed", *words, *more)
        assert refused.returncode == 2 and problem in refused.stderr, (more, refused.stderr)

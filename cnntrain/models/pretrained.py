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

CONNECT_SECONDS = 5.0
CROPS = {"center": "center", "border": "pad", "squash": "squash"}  # timm's words and ours


def require_reachable(name: str) -> None:
    """Answer within seconds when pretrained weights cannot be had, instead of after minutes of retries.

    Raises:
        InputError: there are no weights for this model, or they are neither cached nor reachable.
    """
    if name.split(".", 1)[0] not in timm.list_models() or not timm.models.is_model_pretrained(name):
        raise InputError(
            f"there are no pretrained weights for {name}, which transfer={{linear_probe, freeze_depth, ...}} and "
            "model.pretrained=true need; give model.weights=<file>, or model.pretrained=false to train from scratch"
        )
    settings = timm.get_pretrained_cfg(name)
    assert settings is not None
    if settings.hf_hub_id:
        reason = _hub_problem(settings.hf_hub_id)
    else:
        cached = Path(torch.hub.get_dir()) / "checkpoints" / str(settings.url).rsplit("/", 1)[-1]
        reason = None if cached.is_file() else unreachable([str(settings.url)], CONNECT_SECONDS)
    if reason:
        raise InputError(
            f"cannot get the pretrained weights of {name} ({reason}). Three ways out:\n"
            f"  model.weights=<file>: a safetensors file or state dict that you copied here\n"
            f"  a filled Hugging Face cache (HF_HOME, from a machine with a network) with HF_HUB_OFFLINE=1\n"
            f"  model.pretrained=false: train from scratch"
        )


def _hub_problem(repository: str) -> str | None:
    from huggingface_hub import constants, try_to_load_from_cache

    files = ("model.safetensors", "pytorch_model.bin")
    if any(isinstance(try_to_load_from_cache(repository, each), str) for each in files):
        return None
    if constants.HF_HUB_OFFLINE:
        return f"HF_HUB_OFFLINE is set and {repository} is not in {constants.HF_HUB_CACHE}"
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

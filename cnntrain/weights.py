"""Weights for a model to start from: timm's pretrained ones, or a local file with strictly matched keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_data_config
from torch import Tensor, nn

from cnntrain import checkpoint, models
from cnntrain.errors import ConfigError, InputError
from cnntrain.models import auxiliary, inception_v3
from cnntrain.models.stem import use_cifar_stem
from cnntrain.schema import SMALL_IMAGE, Model
from cnntrain.transfer.groups import classifier_modules

LISTED = 8  # mismatches of a weights file
CONNECT_SECONDS = 5.0


def create(
    model: Model, classes: int, channels: int, size: int | None, pretrained: bool, small_stem: bool | None = None
) -> nn.Module:
    """Build `model` for so many classes, input channels and pixels a side (None: the model's own size).

    Args:
        small_stem: whether the first layers keep a small image's size; None: as `model` says.

    Raises:
        ConfigError: the constructor does not know an argument, or the name's tag does not exist.
        InputError: the pretrained weights cannot be had.
    """
    models.register()
    kwargs: dict[str, Any] = {"num_classes": classes, "in_chans": channels}
    published = timm.get_pretrained_cfg(model.name.split(".", 1)[0])
    if size is not None and published is not None and published.fixed_input_size:
        kwargs["img_size"] = size
    kwargs |= model.args
    if model.drop_rate is not None:
        kwargs["drop_rate"] = model.drop_rate
    if pretrained:
        _require_reachable(model.name)
    try:
        built = timm.create_model(model.name, pretrained=pretrained, **kwargs)
    except (TypeError, AssertionError, ValueError) as error:
        raise ConfigError(f"model.name={model.name} with model.args={model.args}: {error}") from error
    except RuntimeError as error:
        raise ConfigError(f"model.name={model.name}: {str(error).splitlines()[0]}") from error
    inception_v3.adapt(built)
    if small_stem is None or model.stem != "auto":
        small_stem = model.small_stem(size or SMALL_IMAGE + 1)
    if small_stem and not use_cifar_stem(built) and model.stem == "cifar":
        raise ConfigError(f"model.stem=cifar: {type(built).__name__} has no stem that cnntrain knows how to change")
    return built


@dataclass
class Source:
    """What a weights file holds.

    Attributes:
        preprocess: what a checkpoint of ours was trained with, else None.
        small_stem: whether that was with the stem for small images; None where the file does not say.
        classes: what its head tells apart; None where the file does not say.
    """

    path: Path
    tensors: dict[str, Any]
    preprocess: dict[str, Any] | None = None
    small_stem: bool | None = None
    classes: list[str] | None = None


def read(path: Path) -> Source:
    """Read a safetensors file, a state dict, or a checkpoint of ours.

    Raises:
        InputError: the file cannot be read, or is a checkpoint of ours that is damaged.
    """
    state = checkpoint.load_tensors(path)
    # either pair is enough: damage may have struck the name of a key
    if {"format", "sha256"} <= state.keys() or {"progress", "model"} <= state.keys():
        state = checkpoint.verified(path, state)
        return Source(path, checkpoint.eval_weights(state), state["preprocess"], state["small_stem"], state["classes"])
    inner = state.get("state_dict")
    return Source(path, inner if isinstance(inner, dict) else state)


def load(model: nn.Module, source: Source, classes: Sequence[str]) -> None:
    """Load a file's weights into `model`; only the head may differ, and auxiliary heads, which a file or a model may
    also lack. A head that is known to be for other classes than `classes` is not loaded, whatever its shape.

    Raises:
        InputError: its keys do not match; the first mismatches are listed.
    """
    path, state = source.path, source.tensors
    head = tuple(f"{name}." for name in classifier_modules(model))
    extras = tuple(f"{name}." for name in auxiliary.possible_heads(model))
    absent = tuple(each for each in extras if each[:-1] not in auxiliary.heads(model))
    may_differ = (*head, *extras)
    own = model.state_dict()
    fits, problems = {}, []
    for key, value in state.items():
        if not isinstance(value, Tensor):
            problems.append(f"{key} is a {type(value).__name__}, not a tensor")
        elif key not in own:
            if not key.startswith(absent):
                problems.append(f"{key} is not in the model")
        elif own[key].shape == value.shape:
            fits[key] = value
        elif not key.startswith(may_differ):
            problems.append(f"{key} has shape {list(value.shape)}, the model's is {list(own[key].shape)}")
    problems += [f"{key} is missing" for key in own if key not in state and not key.startswith(may_differ)]
    if problems:
        more = [f"and {len(problems) - LISTED} more"] if len(problems) > LISTED else []
        lines = "\n".join(f"  {each}" for each in [*problems[:LISTED], *more])
        raise InputError(f"model.weights={path} does not match {type(model).__name__}:\n{lines}")
    other = source.classes is not None and list(source.classes) != list(classes)
    for new in [head, *((each,) for each in extras)]:
        if other or not all(key in fits for key in own if key.startswith(new)):
            fits = {key: value for key, value in fits.items() if not key.startswith(new)}  # a new head is wholly new
    model.load_state_dict(fits, strict=False)


def pretrained_statistics(model: nn.Module, channels: int) -> tuple[list[float], list[float]]:
    """Mean and deviation a channel that timm's weights expect; averaged where the images have another depth."""
    settings = resolve_data_config({}, model=model)
    mean, std = list(settings["mean"]), list(settings["std"])
    if len(mean) == channels:
        return mean, std
    return [sum(mean) / len(mean)] * channels, [sum(std) / len(std)] * channels


def _require_reachable(name: str) -> None:
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
        reason = None if cached.is_file() else _unreachable(str(settings.url))
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
    return _unreachable(constants.ENDPOINT)


def _unreachable(url: str) -> str | None:
    """Why `url` does not answer, or None; one attempt, through the proxies of the environment."""
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(url, method="HEAD"), timeout=CONNECT_SECONDS):
            return None
    except HTTPError:
        return None  # it answered
    except (URLError, OSError) as error:
        return f"{url}: {getattr(error, 'reason', error)}"

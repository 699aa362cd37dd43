"""Weights alone, in the files from which timm loads a network."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import timm
from torch import nn

from cnntrain.build.model import prepared
from cnntrain.build.trained import Trained
from cnntrain.core import plain_json, seeds
from cnntrain.core.files import write_atomic
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.models import auxiliary, registry
from cnntrain.runs import checkpoint

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def write(folder: Path, found: Trained) -> None:
    """Write ``model.safetensors`` and the ``config.json`` of timm's hub.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    from safetensors.torch import save

    tensors = {name: value.detach().cpu().contiguous() for name, value in found.network.state_dict().items()}
    write_atomic(folder / WEIGHTS, save(tensors, metadata={"format": "pt"}))
    write_atomic(folder / CONFIG, plain_json.text(_config(found), indent=2).encode())


def _config(found: Trained) -> dict[str, Any]:
    return {
        "architecture": found.config.model.name.split(".", 1)[0],
        "num_classes": len(found.classes),
        "num_features": getattr(found.network, "num_features", None),
        "label_names": found.classes,
        "model_args": arguments(found),
        "pretrained_cfg": {
            "input_size": [*found.seen.shape],
            **_seen(found.seen),
            "mean": found.seen.mean,
            "std": found.seen.std,
            "num_classes": len(found.classes),
            "label_names": found.classes,
        },
    }


def _seen(seen: Preprocess) -> dict[str, Any]:
    """What becomes of images, and of a volume's frames."""
    if seen.dimensions == 1:
        return {}
    modes = {"center": "center", "squash": "squash", "pad": "border"}  # timm's words
    return {"crop_pct": seen.crop_fraction, "crop_mode": modes[seen.crop], "interpolation": seen.interpolation}


def arguments(found: Trained) -> dict[str, Any]:
    """Of the constructor, but for what auxiliary heads need, which are not exported."""
    model, heads = found.config.model, {"aux_logits"} if auxiliary.possible_heads(found.network) else set()
    published = timm.get_pretrained_cfg(model.name.split(".", 1)[0])
    fixed = published is not None and published.fixed_input_size
    return {
        "in_chans": found.seen.channels,
        **({"img_size": found.seen.image_size} if fixed else {}),
        **({} if model.backbone is None else {"backbone": model.backbone}),
        **{key: value for key, value in model.args.items() if key not in heads},
    }


def loaded(folder: Path, found: Trained) -> tuple[nn.Module, bool]:
    """The network made anew with the weights in the folder, and whether it is timm alone that makes it: what cnntrain
    changes for small images, or a policy in the classifier, timm does not know."""
    registry.register()
    path, name = folder / WEIGHTS, found.config.model.name.split(".", 1)[0]
    small_stem = bool(getattr(found.network, "small_stem", False))
    with seeds.generators_kept():
        if not small_stem:
            with suppress(RuntimeError):  # keys or shapes are others
                given = {"num_classes": len(found.classes), **arguments(found)}
                return timm.create_model(name, checkpoint_path=str(path), **given).eval(), True
        shape = len(found.classes), found.seen.channels, found.seen.image_size
        network = found.config.model.create(*shape, pretrained=False, small_stem=small_stem)
        network = prepared(found.config, network, found.seen)
    auxiliary.remove(network)
    network.load_state_dict(checkpoint.load_tensors(path))
    return network.eval(), False

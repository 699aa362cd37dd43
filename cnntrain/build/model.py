"""From a configuration to a network with its initial weights, and the preprocessing that goes with them."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import PIL
import torch
import torchvision
from torch import Tensor, nn

from cnntrain.build import weights
from cnntrain.build.data import workers
from cnntrain.build.layouts import as_timm
from cnntrain.config.schema import TrainConfig
from cnntrain.core import dist, store
from cnntrain.core.digest import digest
from cnntrain.core.errors import ConfigError
from cnntrain.core.targets import IN_WORDS, INSTEAD, Target
from cnntrain.core.version import __version__
from cnntrain.data.base import GREY_OR_RGB
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.statistics import mean_and_deviation
from cnntrain.data.sets.dataset import DataSet
from cnntrain.models.pretrained import pretrained_note, published_preprocessing
from cnntrain.runs import checkpoint

OWN = {
    "crop": "center",
    "crop_fraction": 1.0,
    "interpolation": "bilinear",
}  # where no weights say how they were trained
ANSWERS: dict[Target, str] = {"label": "answers for the image", **INSTEAD}
TASKS = {"mask": "segment", "boxes": "detect", "image": "generate"}  # of networks that are not for labels
MODELS = {
    "mask": "fcn, fcn8s_vgg16, fcn_resnet50, deeplabv3 or lraspp",
    "boxes": "rcnn, fast_rcnn, faster_rcnn, mask_rcnn, retinanet or ssdlite",
    "image": "dcgan",
}
FRAMES = 16  # of volumes, where nothing says how many


def build_model(
    config: TrainConfig, data: DataSet, saved: dict[str, Any] | None
) -> tuple[nn.Module, Preprocess, list[str]]:
    """The model with its initial weights, the preprocessing that goes with them, and lines on how they were read.

    Args:
        saved: the checkpoint of a run to resume; its weights replace pretrained ones, which are then not fetched.
    """
    pretrained = bool(config.model.pretrained) and saved is None
    source = weights.read(Path(config.model.weights)) if config.model.weights and saved is None else None
    loads = pretrained or source is not None
    kept = weights.kept_preprocess(checkpoint.LAST, saved) if saved is not None else None
    seen = kept.image_size if kept is not None else _image_size(config, data, source, loads)
    small_stem = saved["small_stem"] if saved is not None else source.small_stem if source is not None else None
    with dist.first_rank_first():
        model = config.model.create(len(data.classes), data.channels, seen, pretrained, small_stem)
    _require_answers(config, model)
    if kept is not None:
        return model, kept, []
    notes: list[str] = []
    if source is not None:
        notes = weights.load(model, source, data.classes, config.model.weights_match == "order")
    elif pretrained:
        weights.begin_published(model)
        notes = pretrained_note(config.model.backbone or config.model.name)
        if data.channels not in GREY_OR_RGB:
            notes = [*notes, f"pretrained weights of the first convolution: {as_timm(data.channels)}"]
    return model, _preprocess(config, data, model, seen, source), notes


def _require_answers(config: TrainConfig, model: nn.Module) -> None:
    """Raises ConfigError where the network's answers are not what the task learns."""
    gives, learns = (_answer(getattr(each, "target", "label")) for each in (model, config.task))
    if gives != learns:
        ways = f"model={MODELS[learns]}" if learns in MODELS else f"task={TASKS[gives]}"
        raise ConfigError(
            f"model={config.model.name} {ANSWERS[gives]}, and task={config.task.name} learns "
            f"{IN_WORDS[config.task.target]}: take {ways}"
        )


def _answer(target: Target) -> Target:
    """Whether an image has one label or several makes no other network."""
    return "label" if target == "labels" else target


def _image_size(config: TrainConfig, data: DataSet, source: weights.Source | None, loads: bool) -> int | None:
    """Pixels a side, of signals their length: as configured, else as the loaded weights were trained, else the set's
    own; None: the model's own, which are those of published weights. What `model.scale` does to them is in them, but
    for None.

    Args:
        loads: whether any weights are loaded, from a file (`source`) or published ones.
    """
    if config.data.dimensions == 1:
        return data.native_size
    own = source.preprocess.image_size if source is not None and source.preprocess is not None else None
    if own and not config.data.image_size:
        return own
    size = config.data.image_size or (None if loads else data.native_size)
    return None if size is None else config.model.scaled(size)


def _preprocess(
    config: TrainConfig, data: DataSet, model: nn.Module, size: int | None, source: weights.Source | None
) -> Preprocess:
    """How images are seen: as the weights were trained, or as the data are; what is configured stands above both."""
    published = published_preprocessing(model, data.channels)
    trained = config.model.pretrained or source is not None
    own = {**published, **OWN}
    if source is not None and source.preprocess is not None:
        kept = asdict(source.preprocess)
        own = published | {key: value for key, value in kept.items() if key in published}
        if kept["channels"] != data.channels:
            own |= {key: published[key] for key in ("mean", "std")}
    elif trained:
        own = published
    asked = {key: getattr(config.data, key) for key in OWN if getattr(config.data, key) is not None}
    shown = {key: getattr(config.data, key) for key in ("background", "depth", "jpeg_draft")}
    shown["image_size"] = size or config.model.scaled(published["image_size"])
    shown["sides"] = _sides(config, data, model, shown["image_size"], source)
    seen = Preprocess(data.channels, **{**own, **asked, **shown})
    choice = config.augment.normalize
    if choice == "model" or (choice == "auto" and (trained or getattr(model, "bounded", False))):
        return seen
    mean, std = _statistics(config, data, replace(seen, mean=[0.5] * data.channels))
    return replace(seen, mean=mean, std=std)


def _sides(
    config: TrainConfig, data: DataSet, model: nn.Module, size: int, source: weights.Source | None
) -> list[int] | None:
    """Of signals and volumes; frames as configured, else as the loaded weights were trained, else the set's own, else
    those that the model is made for."""
    if config.data.dimensions == 1:
        return [size]
    if config.data.dimensions == 2:
        return None
    before = source.preprocess.sides if source is not None and source.preprocess is not None else None
    made_for = getattr(model, "pretrained_cfg", {}).get("input_size", ())[1:-2]
    frames = config.data.clip_length or next(filter(None, [*(before or ())[:1], data.native_frames, *made_for]), FRAMES)
    return [frames, size, size]


def _statistics(config: TrainConfig, data: DataSet, seen: Preprocess) -> tuple[list[float], list[float]]:
    """Mean and deviation of the training images: read by rank 0, and kept for other runs of the same images."""
    versions = [__version__, torch.__version__, torchvision.__version__, PIL.__version__]
    shown = {key: value for key, value in seen.depends_on.items() if key != "std"}
    depends_on = {"seen": shown, "data": [data.fingerprint, data.modified], "count": len(data.train)}
    about: store.About = {"model": None, "data": config.data.name, "part": "train, mean", "cut": [], "views": 1}
    shape, key = (seen.channels,), digest({"statistics": depends_on, "versions": versions})
    entry = store.Entry(key, [shape, shape], [torch.float64, torch.float64], about)

    def read() -> list[Tensor]:
        found = mean_and_deviation(data.train, seen.fit, workers(config.data))
        return [torch.tensor(each, dtype=torch.float64) for each in found]

    kept = config.data.resident not in ("ram", "off")
    root = store.root(config.data.cache_dir, "images") if kept else None
    mean, std = dist.from_first(lambda: [each.tolist() for each in store.once(entry, root, read)])
    return mean, std


def prepared(config: TrainConfig, model: nn.Module, seen: Preprocess) -> nn.Module:
    """What the transfer policy makes of the model, which has its initial weights.

    Raises:
        ConfigError: the policy does not fit the model.
    """
    classes, small_stem = int(cast(Any, model).num_classes), getattr(model, "small_stem", False)

    def make_random() -> nn.Module:
        shape = classes, seen.channels, seen.image_size
        return config.model.create(*shape, pretrained=False, small_stem=small_stem)

    image = torch.zeros(1, *seen.shape)
    loaded = bool(config.model.pretrained) or config.model.weights is not None
    return config.transfer.prepare(model, image, make_random if loaded else None)

"""Training images as the training that is configured would see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.utils import draw_bounding_boxes

from cnntrain.build.data import load_data, make_loaders
from cnntrain.build.model import build_model
from cnntrain.config.pictures import require_images
from cnntrain.config.schema import TrainConfig
from cnntrain.core import dist, seeds
from cnntrain.core.stopping import heed
from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.plan import Plan
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.samples import Samples
from cnntrain.data.sets.dataset import Part
from cnntrain.study.augmented import Augmented, View


def look(config: TrainConfig, count: int, epochs: Sequence[int], say: Callable[[str], None]) -> list[Augmented]:
    """Images of the training part, spread evenly over it.

    Args:
        epochs: from 0 on.
        say: is told what a training would say of its data and its weights.

    Raises:
        UserError: the data, the weights or the configuration do not fit together.
    """
    require_images(config.data, "cnntrain look")
    device = dist.pick_device(config.trainer.device)
    data = load_data(config.data)
    seeds.seed_step(config.seed, "init")
    model, seen, notes = build_model(config, data, None)
    for each in (*data.notes, *notes):
        say(each)
    loaders = make_loaders(config, data, model, seen, device)
    if config.data.pack_size is not None:  # packed images are others, once they are held
        loaders.hold(["train"], config.trainer.epochs, say, heed)
    part, size = data.train, len(data.train)
    positions = torch.from_numpy(np.unique(np.linspace(0, size - 1, min(count, size)).round().astype(np.int64)))
    plain = Samples(part, seen.fit, None)
    judged = [seen.undo(seen(plain.sample(0, each)[0][None], device, torch.float32))[0] for each in positions.tolist()]
    by_epoch = [_seen_in(loaders.train, epoch, positions, seen, data.classes) for epoch in epochs]
    views = zip(*by_epoch, strict=True)
    return [
        Augmented(part.ids[each], _label(part, each, data.classes), part.images[each], as_judged.cpu(), [*own])
        for each, as_judged, own in zip(positions.tolist(), judged, views, strict=True)
    ]


def _seen_in(loader: Loader, epoch: int, positions: Tensor, seen: Preprocess, classes: Sequence[str]) -> list[View]:
    """What the loader gives of these samples in an epoch: what is drawn does not depend on the batch around them."""
    (batch,) = loader.batches(Plan(epoch, positions, torch.tensor([0]), torch.tensor([len(positions)])))
    pixels = seen.undo(batch.inputs).cpu()
    if isinstance(batch.targets, dict):
        return [View(epoch, each, "") for each in _with_boxes(pixels, batch.targets)]
    targets = batch.targets.cpu()
    mixed = targets.is_floating_point()  # by MixUp or CutMix
    return [
        View(epoch, each, _mixture(row, classes) if mixed else "") for each, row in zip(pixels, targets, strict=True)
    ]


def _with_boxes(pixels: Tensor, targets: dict[str, Tensor]) -> list[Tensor]:
    """Images from 0 to 1 with the boxes of their objects in their own pixels."""
    found = []
    for image, boxes, labels in zip(pixels, targets["boxes"].cpu(), targets["labels"].cpu(), strict=True):
        drawn = (255 * image).round().to(torch.uint8)
        found.append(draw_bounding_boxes(drawn, boxes[labels >= 0], colors="yellow").float() / 255)
    return found


def _mixture(shares: Tensor, classes: Sequence[str]) -> str:
    """A line a class, such as ``0.70 cat``, the largest share first."""
    rows = sorted(shares.nonzero().flatten().tolist(), key=lambda each: -shares[each])
    return "\n".join(f"{shares[each]:.2f} {classes[each]}" for each in rows)


def _label(part: Part, position: int, classes: Sequence[str]) -> str:
    label = part.labels[position]
    rows = np.flatnonzero(label).tolist() if part.labels.ndim == 2 else [int(label)]
    return ", ".join(classes[each] for each in rows)

"""Features by which made images are compared with real ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from cnntrain.build import embedding, reading, trained
from cnntrain.build.trained import Trained
from cnntrain.config import compose
from cnntrain.config.check import plain, section
from cnntrain.config.model import Model
from cnntrain.core.errors import InputError
from cnntrain.models.features import before_classifier

INCEPTION = "inception_v3"  # of which a file of weights is
PICTURES = 2, 8  # dimensions and depth


class Features:
    """What a classifier computes of images before it classifies them, as it was trained to see images.

    Args:
        place: a run's folder, whose best checkpoint is taken, or a file of Inception-v3's weights.
        channels: of the images, of which grey ones are shown to a classifier of RGB ones as such.

    Raises:
        InputError: it cannot be read, or is of no use for it.
    """

    def __init__(self, place: Path, channels: int, device: torch.device):
        try:
            self.found = self._found(place, device)
        except InputError as error:
            raise InputError(f"task.features={place}: {error}") from error
        seen = self.found.seen
        if seen.channels not in (channels, 3) or (seen.dimensions, seen.depth) != PICTURES:
            raise InputError(
                f"task.features={place}: its network sees other images than those of data.channels={channels}: take a "
                "classifier of such, or of RGB ones"
            )
        self._compute = before_classifier(self.found.network)

    def _found(self, place: Path, device: torch.device) -> Trained:
        adjust = reading.adjusting(device.type, None, None)
        if not place.is_file():
            found = trained.read(trained.best_of(place), device, adjust)
            if found.config.task.target not in ("label", "labels"):
                raise InputError(f"is a run of task={found.config.task.name}: a classifier's is asked for")
            return found
        tree = plain(compose.compose_config("train", [f"model={INCEPTION}"]))
        model = section({**tree["model"], "weights": str(place)}, Model, "model")
        found = embedding.published(model, device, adjust)
        return replace(found, seen=replace(found.seen, crop_fraction=1.0))  # whole images, as is usual for FID

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Of images, uint8 [batch, channels, height, width], float32 [batch, size]."""
        seen, weight = self.found.seen, next(self.found.network.parameters())
        shown = images.cpu().expand(-1, seen.channels, -1, -1)
        fitted = torch.stack([seen.fit(each, 0)[0] for each in shown])
        with self.found.precision:
            return self._compute(seen(fitted, weight.device, weight.dtype))

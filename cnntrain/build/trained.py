"""A trained network, read back from a checkpoint as it was evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from cnntrain.build.data import found_places
from cnntrain.build.model import prepared
from cnntrain.build.weights import kept_preprocess
from cnntrain.config import imports
from cnntrain.config.check import check
from cnntrain.config.schema import TrainConfig
from cnntrain.core import seeds
from cnntrain.core.errors import InputError
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.sets.given import given
from cnntrain.models import auxiliary
from cnntrain.runs import checkpoint
from cnntrain.training.precision import autocast, place


@dataclass(frozen=True)
class Trained:
    """What a checkpoint holds, ready to be used.

    Attributes:
        network: in evaluation mode, without auxiliary heads.
        seen: how images were prepared for it.
        epoch: how many were done; `best` are the values of the best one so far.
        fingerprint: of the data that it was trained on.
        notes: lines for the user.
    """

    path: Path
    config: TrainConfig
    network: nn.Module
    seen: Preprocess
    classes: list[str]
    epoch: int
    best: dict[str, float] | None
    fingerprint: str
    notes: list[str]
    device: torch.device

    @property
    def precision(self) -> AbstractContextManager[Any]:
        """The context of a forward pass, as its run evaluated."""
        return autocast(self.config.trainer.precision, self.device)

    def preprocess(self, image: str | Path | Image.Image | np.ndarray | Tensor) -> Tensor:
        """An image as the network was trained to see it: [1, channels, size, size], normalised, on its device.

        Args:
            image: a file, a PIL image, or pixels, uint8 or floating point from 0 to 1: an array [height, width] or
                [height, width, 1, 3 or 4], or a tensor [height, width] or [1, 3 or 4, height, width]. Its depth is
                changed to the network's as that of a file is.

        Raises:
            InputError: it is no image.
        """
        fitted, _ = self.seen.fit(given(image, self.seen.channels, self.seen.background), 0)
        return self.seen(fitted[None], self.device, next(self.network.parameters()).dtype)

    @torch.inference_mode()
    def predict(self, images: Iterable[Any]) -> list[dict[str, float]]:
        """For each image (see `preprocess`) the probability of each class, the most probable first; where an image has
        any number of them, each by itself.

        Raises:
            InputError: one is no image, or the run had no validation yet to choose among its settings.
        """
        return [self._probabilities(self.preprocess(each)) for each in images]

    def _probabilities(self, seen: Tensor) -> dict[str, float]:
        with self.precision:
            logits = self.network(seen)
        if logits.ndim == 3:  # of several settings side by side the one that was chosen by val
            if self.best is None:
                raise InputError(f"{self.path}: the run had no validation yet, which chooses among its settings")
            logits = logits[int(self.best["val/setting"])]
        values = self.config.task.probabilities(logits[0].double()).tolist()
        return dict(sorted(zip(self.classes, values, strict=True), key=lambda each: -each[1]))


def best_of(run: Path) -> Path:
    """The best checkpoint in a run's folder."""
    return run / checkpoint.BEST


def read(
    path: Path,
    device: torch.device,
    adjust: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda tree: tree,
) -> Trained:
    """Read a checkpoint; the weights are those that its run evaluated.

    Args:
        adjust: what is wanted of the configuration, made of the one that it was trained with.

    Raises:
        InputError: the file cannot be read.
        ConfigError: it needs code of the user's own that is not imported.
    """
    state = checkpoint.load_run(path)
    notes = imports.check(state["imports"], str(path))
    data = {**state["config"]["data"], **found_places(state)}
    config = check(adjust({**state["config"], "data": data}), TrainConfig)
    seen, classes = kept_preprocess(path, state), list(state["classes"])
    shape = len(classes), seen.channels, seen.image_size
    with seeds.generators_kept():  # its random weights are not used
        network = config.model.create(*shape, pretrained=False, small_stem=state["small_stem"])
        network = prepared(config, network, seen)
    try:
        network.load_state_dict(checkpoint.eval_weights(state))
    except RuntimeError as error:
        raise InputError(f"{path} is damaged: its weights are not those of its configuration: {error}") from error
    auxiliary.remove(network)
    place(network.eval(), config.trainer, device)
    epoch, best = (state["progress"][key] for key in ("epoch", "best"))
    return Trained(path, config, network, seen, classes, epoch, best, state["fingerprint"], notes, device)

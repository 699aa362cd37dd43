"""What the pictures of a run's page are made of: the samples that it was judged by, and its network, read again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cnntrain.build import trained
from cnntrain.build.images import part_of
from cnntrain.build.trained import Trained
from cnntrain.build.weights import kept_preprocess
from cnntrain.config import methods
from cnntrain.config.pictures import require_images
from cnntrain.data.batches.samples import Samples
from cnntrain.data.sets.dataset import Images, Part
from cnntrain.runs import checkpoint
from cnntrain.study.explain import drawing
from cnntrain.study.explain.base import Attribution
from cnntrain.study.explain.hooks import undisturbed
from cnntrain.study.explain.subject import Subject
from cnntrain.study.page.thumbnails import Masked, Overlay, Seen, pixels

METHOD = "gradcam"


@dataclass(frozen=True)
class Looking:
    """Of a run, each part read when it is asked for: see `Source`.

    Attributes:
        part, ids: of the samples that there are answers to.
        at_hand: these samples, where they are; None: they are read.
    """

    run: Path
    part: str
    ids: Sequence[str]
    device: torch.device
    at_hand: Part | None = None

    @cached_property
    def _samples(self) -> Part:
        return part_of(self.run, self.part, self.ids) if self.at_hand is None else self.at_hand

    @cached_property
    def _network(self) -> Trained:
        return trained.read(self.run / checkpoint.BEST, self.device)

    def images(self) -> Images:
        return self._samples.images

    def overlay(self) -> Overlay:
        """Grad-CAM by the best checkpoint."""
        found = self._network
        require_images(found.config.data, "explaining what a network looks at")
        method, subject = methods.method(METHOD, {}), found.subject()
        assert isinstance(method, Attribution)
        _map(method, subject, subject.blank(), 0)

        def overlay(image: Tensor, answer: int) -> np.ndarray:
            inputs = found.preprocess(image)
            seen = subject.seen.undo(inputs)[0].permute(1, 2, 0).float().cpu().numpy()
            return (drawing.overlay(seen, _map(method, subject, inputs, answer)) * 255).round().astype(np.uint8)

        return overlay

    def seen(self) -> Seen:
        best = self.run / checkpoint.BEST
        samples = Samples(self._samples, kept_preprocess(best, checkpoint.load_run(best)).fit, None)
        return lambda position: pixels(samples.sample(0, position)[0])

    def masks(self) -> Callable[[int], Masked]:
        """By the best checkpoint, as an evaluation gives them."""
        found = self._network
        samples = Samples(self._samples, found.seen.fit, None)
        kind = next(found.network.parameters()).dtype

        @torch.inference_mode()
        def masks(position: int) -> Masked:
            image, there = samples.sample(0, position)
            with found.precision:
                given = found.probabilities(found.seen(image[None], found.device, kind)).argmax(1)[0]
            return Masked(pixels(image), there.numpy(), given.to(torch.uint8).cpu().numpy())

        return masks


def _map(method: Attribution, subject: Subject, inputs: Tensor, answer: int) -> np.ndarray:
    """[height, width], of one image [1, channels, height, width]."""
    targets = torch.tensor([answer], device=inputs.device)
    with undisturbed(subject.network):
        return method.maps(subject, inputs.clone(), targets).values[0].detach().float().cpu().numpy()

"""What a run's network looked at, laid over the images of a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cnntrain.build import trained
from cnntrain.config import methods
from cnntrain.config.pictures import require_images
from cnntrain.core.errors import UserError
from cnntrain.runs import checkpoint
from cnntrain.study.explain import drawing
from cnntrain.study.explain.base import Attribution
from cnntrain.study.explain.hooks import undisturbed
from cnntrain.study.explain.subject import Subject
from cnntrain.study.page.thumbnails import Overlay

METHOD = "gradcam"


def looking(run: Path, device: torch.device) -> tuple[Overlay | None, str]:
    """Grad-CAM by the best checkpoint of a run, or why there is none."""
    try:
        found = trained.read(run / checkpoint.BEST, device)
        require_images(found.config.data, "explaining what a network looks at")
        found.require_whole_images("explain")
        method, subject = methods.method(METHOD, {}), found.subject()
        assert isinstance(method, Attribution)
        _map(method, subject, subject.blank(), 0)
    except UserError as error:
        return None, f"what the network looked at is not shown: {error}"

    def overlay(image: Tensor, answer: int) -> np.ndarray:
        inputs = found.preprocess(image)
        seen = subject.seen.undo(inputs)[0].permute(1, 2, 0).float().cpu().numpy()
        return (drawing.overlay(seen, _map(method, subject, inputs, answer)) * 255).round().astype(np.uint8)

    return overlay, ""


def _map(method: Attribution, subject: Subject, inputs: Tensor, answer: int) -> np.ndarray:
    """[height, width], of one image [1, channels, height, width]."""
    targets = torch.tensor([answer], device=inputs.device)
    with undisturbed(subject.network):
        return method.maps(subject, inputs.clone(), targets).values[0].detach().float().cpu().numpy()

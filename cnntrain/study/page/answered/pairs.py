"""Which of an image's detections, from a score on, are which of its objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import box_iou

from cnntrain.tasks.detect.rows import BOX, CLASS, FOUND, IGNORED, KIND, SCORE, THERE

OVERLAP = 0.5  # from which on a detection can be an object


@dataclass(frozen=True)
class Pairs:
    """Attributes:
    detections: rows [n, columns], see `tasks.detect.rows`, the surest first.
    right, wrong: bool [n]: whether a detection is an object, or none; neither where it is one that is ignored.
    objects: rows [m, columns].
    found: bool [m].
    """

    detections: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    objects: np.ndarray
    found: np.ndarray

    @property
    def missed(self) -> np.ndarray:
        """bool [m]: objects that count and are not found."""
        return ~self.found & (self.objects[:, KIND] == THERE)


def paired(rows: np.ndarray, sure: float) -> Pairs:
    """As COCO pairs them: each detection, the surest first, takes that object of its class which it overlaps most by,
    of those that none has taken; one that is ignored only where there is no other, and any number of times.

    Args:
        rows: of an image.
        sure: the least score.
    """
    detections = rows[(rows[:, KIND] == FOUND) & (rows[:, SCORE] >= sure)]
    detections = detections[np.argsort(-detections[:, SCORE], kind="mergesort")]
    objects = rows[np.isin(rows[:, KIND], (THERE, IGNORED))]
    ignored = objects[:, KIND] == IGNORED
    overlaps = _overlaps(detections[:, BOX], objects[:, BOX], ignored)
    overlaps[detections[:, None, CLASS] != objects[None, :, CLASS]] = 0.0
    found, right, wrong = np.zeros(len(objects), bool), np.zeros(len(detections), bool), np.zeros(len(detections), bool)
    for number, own in enumerate(overlaps):
        free = np.where(found | ignored, 0.0, own)
        best = len(free) - 1 - int(np.argmax(free[::-1])) if len(free) else -1  # of equal ones the last
        if best >= 0 and free[best] >= OVERLAP:
            found[best] = right[number] = True
        else:
            wrong[number] = not (own[ignored] >= OVERLAP).any()
    return Pairs(detections, right, wrong, objects, found)


def _overlaps(detections: np.ndarray, objects: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Intersections over unions [detections, objects]; with what is ignored over the detection's own pixels."""
    one, other = (torch.from_numpy(each.astype(np.float64)) for each in (detections, objects))
    found = box_iou(one, other).numpy()
    area = ((one[:, 2] - one[:, 0]) * (one[:, 3] - one[:, 1])).numpy()[:, None]
    whole = ((other[:, 2] - other[:, 0]) * (other[:, 3] - other[:, 1])).numpy()[None]
    shared = found * (area + whole) / (1 + found)  # of unions
    return np.where(ignored[None], shared / np.maximum(area, 1e-12), found)

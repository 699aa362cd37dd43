"""Whether images with the shape of one class and the texture of another are taken for the one or the other (Geirhos et
al. 2019, arXiv:1811.12231)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cnntrain.core import tables
from cnntrain.core.files import write_atomic
from cnntrain.core.intervals import of_proportion
from cnntrain.data.sets.cues import Cues
from cnntrain.runs.predictions import Predictions
from cnntrain.study.evaluation.measures import refuse_nan

CSV = "cues.csv"
SHAPE, TEXTURE, NEITHER = "shape", "texture", "neither"


class Row(NamedTuple):
    """Names of classes, and which of an image's two the answer is."""

    image: str
    shape: str
    texture: str
    answer: str
    by: str


def rows(predictions: Predictions, cues: Cues) -> list[Row]:
    """The most probable class of each image, of those alone that occur in the folder, as the paper asks among its 16.

    Args:
        predictions: of the images of `cues`, in their order.

    Raises:
        InputError: some answers are no finite numbers.
    """
    refuse_nan(predictions)
    answers = cues.offered[predictions.logits[:, cues.offered].argmax(1)]
    found = []
    for id_, shape, texture, answer in zip(predictions.ids, predictions.labels, cues.textures, answers, strict=True):
        by = SHAPE if answer == shape else TEXTURE if answer == texture else NEITHER
        names = [predictions.classes[int(each)] for each in (shape, texture, answer)]
        found.append(Row._make([id_, *names, by]))
    return found


def figures(found: Sequence[Row], cues: Cues) -> dict[str, Any]:
    """What ``eval.json`` has of all images, as plain values.

    Returns:
        ``count``, ``shape``, ``texture`` and ``neither``: numbers of images; ``shape_bias``: the share of shapes among
        answers that are the shape or the texture, null of none; ``interval``: its Wilson interval of 95%;
        ``per_shape``: the same for each class of shapes; ``classes``: those that were asked among; ``unknown`` and
        ``left_out``: as `Cues` has them.
    """
    by_shape: dict[str, list[Row]] = {}
    for each in sorted(found, key=lambda row: row.shape):
        by_shape.setdefault(each.shape, []).append(each)
    return {
        **_bias(found),
        "per_shape": [{"name": name, **_bias(own)} for name, own in by_shape.items()],
        "classes": [cues.images.classes[each] for each in cues.offered.tolist()],
        "unknown": dict(cues.unknown),
        "left_out": dict(cues.left_out),
    }


def _bias(found: Sequence[Row]) -> dict[str, Any]:
    counts: Mapping[str, int] = Counter(each.by for each in found)
    shape, texture = counts[SHAPE], counts[TEXTURE]
    decided = shape + texture
    share = shape / decided if decided else None
    return {
        "count": len(found),
        SHAPE: shape,
        TEXTURE: texture,
        NEITHER: counts[NEITHER],
        "shape_bias": share,
        "interval": None if share is None else of_proportion(share, decided),
    }


def write(folder: Path, found: Sequence[Row]) -> None:
    """Write ``cues.csv``, a row an image; of none that of an evaluation before is removed.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    if not found:
        (folder / CSV).unlink(missing_ok=True)
        return
    write_atomic(folder / CSV, tables.comma_separated(Row._fields, found).encode())

"""Which detections are which objects, by pycocotools."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cnntrain.tasks.detect.rows import BOX, CLASS, FOUND, IGNORED, KIND, SCORE, THERE
from cnntrain.tasks.detect.rows import OVERLAPS as FIRST_OVERLAP

OVERLAPS = tuple(np.linspace(0.5, 0.95, 10))  # from which on a detection can be an object
WHOLE = [[0.0, 1e10]]  # pixels of objects: all sizes


@dataclass(frozen=True)
class Matched:
    """Of a class.

    Attributes:
        images: int64 [detections]: in which image each is, the surest first.
        right, wrong: bool [overlaps, detections]: whether it is an object, whether it is none; neither where it is one
            that is ignored.
        there: int64 [images]: objects that are not ignored.
    """

    images: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    there: np.ndarray


def matched(table: np.ndarray, classes: int, masks: bool = False) -> list[Matched]:
    """Of each class.

    Args:
        table: [images, rows, columns], see `rows`.
        masks: whether by the overlaps of masks, not of boxes.
    """
    with redirect_stdout(io.StringIO()):  # it tells of each step
        judge = _Judge(_described(table, True, classes), _described(table, False, classes), "bbox")
        judge.table = table if masks else None
        judge.params.imgIds, judge.params.catIds = [*range(len(table))], [*range(classes)]
        judge.params.areaRng, judge.params.areaRngLbl = WHOLE, ["all"]
        judge.params.maxDets = [table.shape[1]]
        judge.params.iouThrs = np.array(OVERLAPS)
        judge.evaluate()
    found = np.array(judge.evalImgs, dtype=object).reshape(classes, len(table))
    return [_of_class(each) for each in found]


def most_classes(table: np.ndarray) -> int:
    """As many as the rows speak of."""
    return 1 + int(table[..., CLASS].max(initial=-1))


def _described(table: np.ndarray, there: bool, classes: int) -> COCO:
    """As COCO's files describe objects, or detections."""
    kinds = (THERE, IGNORED) if there else (FOUND,)
    notes: list[dict[str, Any]] = []
    for image, rows in enumerate(table):
        for row in np.flatnonzero(np.isin(rows[:, KIND], kinds)).tolist():
            left, top, right, bottom = rows[row, BOX].astype(np.float64).tolist()
            width, height = right - left, bottom - top
            notes.append(
                {
                    "id": len(notes) + 1,  # 0 is no object's
                    "image_id": image,
                    "category_id": int(rows[row, CLASS]),
                    "bbox": [left, top, width, height],
                    "area": width * height,
                    "iscrowd": int(rows[row, KIND] == IGNORED),
                    "score": float(rows[row, SCORE]),
                    "row": row,
                }
            )
    found = COCO()
    found.dataset = {
        "images": [{"id": each} for each in range(len(table))],
        "categories": [{"id": each} for each in range(classes)],
        "annotations": notes,
    }
    found.createIndex()
    return found


class _Judge(COCOeval):
    """COCO's, that takes overlaps from a table where it is given one."""

    table: np.ndarray | None = None

    def computeIoU(self, imgId: int, catId: int) -> Any:  # noqa: N802, N803
        if self.table is None:
            return super().computeIoU(imgId, catId)
        there, found = self._gts[imgId, catId], self._dts[imgId, catId]
        if not there or not found:
            return []
        order = np.argsort([-each["score"] for each in found], kind="mergesort")
        detections = len(self.table[imgId]) - (self.table.shape[2] - FIRST_OVERLAP)
        columns = [FIRST_OVERLAP + each["row"] - detections for each in there]
        lines = [found[place]["row"] for place in order[: self.params.maxDets[-1]]]
        return self.table[imgId][np.ix_(lines, columns)].astype(np.float64)


def _of_class(found: Iterable[Mapping[str, Any] | None]) -> Matched:
    """Of each image what was found of a class; None where there is nothing."""
    found = [*found]
    there = np.array([0 if each is None else int((np.asarray(each["gtIgnore"]) == 0).sum()) for each in found])
    some = [(number, each) for number, each in enumerate(found) if each is not None]
    empty = np.zeros((len(OVERLAPS), 0))
    scores = np.concatenate([np.zeros(0), *(each["dtScores"] for _, each in some)])
    images = np.concatenate([np.zeros(0, np.int64), *(np.full(len(each["dtScores"]), n) for n, each in some)])
    taken = np.concatenate([empty, *(each["dtMatches"] for _, each in some)], 1) > 0
    ignored = np.concatenate([empty, *(each["dtIgnore"] for _, each in some)], 1) > 0
    order = np.argsort(-scores, kind="mergesort")
    right, wrong = taken & ~ignored, ~taken & ~ignored
    return Matched(images[order], right[:, order], wrong[:, order], there)

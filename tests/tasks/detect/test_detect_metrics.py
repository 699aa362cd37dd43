"""Objects judged as COCO judges them, however the images were batched."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask
from pycocotools.cocoeval import COCOeval
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

from cnntrain.tasks.detect import FIRST, FURTHER, LOSS, matching, precision
from cnntrain.tasks.detect.metrics import Evaluated, Judged, Totals, figures
from cnntrain.tasks.detect.resampling import intervals
from cnntrain.tasks.detect.rows import IGNORED, KIND, rows

CLASSES, IMAGES, MOST, SIDE = 3, 12, 4, 40
CPU = torch.device("cpu")
COLUMNS = (*FIRST, *FURTHER.values(), LOSS)


def made(seed: int = 0, ignored: bool = False) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
    """Detections near objects and elsewhere, objects with their pixels, and masks; of the third image nothing is
    there, and in the fourth nothing is found."""
    draws = torch.Generator().manual_seed(seed)
    places = torch.randint(0, SIDE // 2, (IMAGES, MOST, 2), generator=draws).float()
    sizes = torch.randint(6, SIDE // 2, (IMAGES, MOST, 2), generator=draws).float()
    labels = torch.randint(0, CLASSES, (IMAGES, MOST), generator=draws)
    labels[torch.rand(IMAGES, MOST, generator=draws) < 0.3] = -1
    labels[2] = -1
    boxes = torch.cat([places, places + sizes], -1)
    instances = torch.zeros(IMAGES, SIDE, SIDE, dtype=torch.uint8)
    for image, row in zip(*np.nonzero(labels.numpy() >= 0), strict=True):
        left, top, right, bottom = boxes[image, row].int().tolist()
        instances[image, top:bottom, left:right] = row + 1
    seen = (instances[:, None] == torch.arange(1, 1 + MOST)[:, None, None]).flatten(2).any(2)
    labels[~seen] = -1  # an object has pixels
    near = boxes.repeat(1, 2, 1) + 3 * torch.randn(IMAGES, 2 * MOST, 4, generator=draws)
    near[..., :2] = near[..., :2].clamp(0, SIDE - 3)
    near[..., 2:] = torch.maximum(near[..., 2:], near[..., :2] + 2)  # inside of the image
    kinds = labels.repeat(1, 2).clamp(min=0)
    wrong = torch.rand(kinds.shape, generator=draws) < 0.3
    kinds[wrong] = torch.randint(0, CLASSES, (int(wrong.sum()),), generator=draws)
    scores = torch.rand(IMAGES, 2 * MOST, generator=draws).sort(1, descending=True).values
    found = torch.cat([kinds[..., None].float(), scores[..., None], near], -1)
    found[3, :, 0] = -1
    found[5, 3:, 0] = -1
    masks = []
    for each in found:
        there = each[each[:, 0] >= 0, 2:].round().int().clamp(0, SIDE)
        each_mask = torch.zeros(len(there), SIDE, SIDE)
        for number, (left, top, right, bottom) in enumerate(there.tolist()):
            each_mask[number, top:bottom, left:right] = 0.9
        masks.append(each_mask)
    skipped = (torch.rand(labels.shape, generator=draws) < 0.2) & ignored
    return found, {"boxes": boxes, "labels": labels, "ignored": skipped, "instances": instances}, masks


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_boxes_are_those_of_torchmetrics(seed: int) -> None:
    found, targets, _ = made(seed)
    recalls = np.linspace(0, 1, 101).tolist()  # its own are of single precision, which a recall of 3/15 does not reach
    judge = MeanAveragePrecision(rec_thresholds=recalls, iou_thresholds=[*matching.OVERLAPS])
    for number, each in enumerate(found):
        each, there = each[each[:, 0] >= 0], targets["labels"][number] >= 0
        judge.update(
            [{"boxes": each[:, 2:], "scores": each[:, 1], "labels": each[:, 0].long()}],
            [{"boxes": targets["boxes"][number][there], "labels": targets["labels"][number][there]}],
        )
    wanted = judge.compute()
    values = figures(rows(found, targets).numpy(), (*FIRST, FURTHER["map75"]))
    for ours, theirs in (("map", "map"), ("map50", "map_50"), ("map75", "map_75")):
        assert values[ours] == pytest.approx(float(wanted[theirs]), abs=1e-6), ours
    assert 0 < values["map"] < values["map50"] < 1


def of_pycocotools(table: np.ndarray, kind: str, there: Any = None, found: Any = None) -> list[float]:
    """Its own figures: at all overlaps, at 50%, at 75%.

    Args:
        there, found: of each image the pixels of objects and of detections, by their rows.
    """
    with redirect_stdout(io.StringIO()):
        sides = []
        for is_there, masks in ((True, there), (False, found)):
            side = matching._described(table, is_there, CLASSES)
            for each in side.dataset["annotations"] if masks is not None else ():
                row = each["row"] - (2 * MOST if is_there else 0)
                pixels = np.asfortranarray(masks[each["image_id"]][row].numpy().astype(np.uint8))
                each |= {"segmentation": mask.encode(pixels), "area": float(pixels.sum())}
            side.dataset["images"] = [{"id": each, "height": SIDE, "width": SIDE} for each in range(len(table))]
            side.createIndex()
            sides.append(side)
        judge = COCOeval(*sides, kind)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats[:3].tolist()


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_masks_are_those_of_pycocotools(seed: int) -> None:
    found, targets, masks = made(seed)
    table = rows(found, targets, masks).numpy()
    numbers = torch.arange(1, 1 + MOST)[:, None, None]
    there = [each[None] == numbers for each in targets["instances"]]
    wanted = of_pycocotools(table, "segm", there, [each >= 0.5 for each in masks])
    values = figures(table, COLUMNS)
    assert [values["mask_map"], values["mask_map50"]] == pytest.approx(wanted[:2], abs=1e-9)
    assert [values["map"], values["map50"], values["map75"]] == pytest.approx(of_pycocotools(table, "bbox"), abs=1e-9)


def test_what_is_ignored_counts_neither_way_as_pycocotools_has_it() -> None:
    found, targets, _ = made(4, ignored=True)
    table = rows(found, targets).numpy()
    values = figures(table, FIRST)
    assert [*values.values()] == pytest.approx(of_pycocotools(table, "bbox")[:2], abs=1e-9)
    assert (table[..., KIND] == IGNORED).any()


def test_an_image_that_counts_twice_is_as_good_as_two() -> None:
    found, targets, _ = made(1)
    table = rows(found, targets).numpy()
    twice = np.array([1, 2, 1, 1, 0, 3, 1, 1, 2, 1, 0, 1])
    again = table[np.repeat(np.arange(IMAGES), twice)]
    for class_, other in zip(matching.matched(table, CLASSES), matching.matched(again, CLASSES), strict=True):
        counted = precision.averages(class_, twice[None].astype(float))
        plain = precision.averages(other, np.ones((1, len(again))))
        np.testing.assert_allclose(counted, plain, atol=1e-12)


def test_intervals_hold_the_figures() -> None:
    found, targets, masks = made(2)
    table = rows(found, targets, masks).numpy()
    values, sure = figures(table, COLUMNS), intervals(table, COLUMNS)
    assert sure.keys() == values.keys()
    assert all(low <= values[name] <= high for name, (low, high) in sure.items())


def test_batches_change_nothing_and_nothing_has_no_figures() -> None:
    found, targets, _ = made(3)
    whole, parts = Evaluated(CPU, FIRST), Evaluated(CPU, FIRST)
    losses = torch.arange(IMAGES).double()
    for totals, size in ((whole, IMAGES), (parts, 5)):
        for some in torch.arange(IMAGES).split(size):
            own = {name: each[some] for name, each in targets.items()}
            totals.add(losses[some].mean(), Judged(losses[some], rows(found[some], own)), own)
    assert whole.metrics() == pytest.approx(parts.metrics())
    assert whole.metrics()["loss"] == pytest.approx(5.5) and whole.metrics()["count"] == IMAGES
    assert np.isnan([Evaluated(CPU, FIRST).metrics()[each] for each in ("map", "map50", "loss")]).all()


def test_sums_of_training_go_on_where_they_were() -> None:
    first, other = Totals(CPU), Totals(CPU)
    first.add(torch.tensor(2.0), torch.zeros(3), None)
    other.load(first.reduced())
    other.add(torch.tensor(4.0), torch.zeros(1), None)
    assert other.metrics() == {"loss": 2.5, "count": 4} and other.mean_loss() == 2.5


def test_perfect_boxes_have_perfect_figures() -> None:
    _, targets, _ = made()
    found = torch.cat([targets["labels"][..., None], torch.full((IMAGES, MOST, 1), 0.5), targets["boxes"]], -1)
    assert figures(rows(found, targets).numpy(), FIRST) == pytest.approx({"map": 1.0, "map50": 1.0})

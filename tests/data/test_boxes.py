"""Objects with their images: of scenes, of COCO's files, of VOC's; through fits and shifts; and what is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from composing import composed
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional

from cnntrain.augment.batched import crops
from cnntrain.augment.batched.affine import RandomAffine, around, inverse
from cnntrain.augment.batched.auto import RandAugment, TrivialAugment
from cnntrain.augment.batched.shifts import ShiftFlip
from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.core.boxes import within
from cnntrain.core.draws import Draws
from cnntrain.core.errors import InputError
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.samples import Samples
from cnntrain.data.sets.dataset import DataSet

PREPARED = ("task=detect", "model=faster_rcnn", "model.backbone=resnet20", "trainer.device=cpu")


def loaded(*words: str) -> DataSet:
    return check(composed((*PREPARED, *words)), Train).data.load()


SCENES = ("data=digit_scenes", "data.train_size=6", "data.val_size=2", "data.test_size=0")


def test_scenes_have_the_boxes_of_what_is_seen() -> None:
    data = loaded(*SCENES)
    assert data.classes == [*map(str, range(10))]
    for number in range(len(data.train)):
        _, target = data.train.sample(number)
        labels, boxes = target["labels"], target["boxes"].int()
        assert set(labels[labels >= 0].tolist()) == set(np.flatnonzero(data.train.labels[number]))
        for row in range(len(labels)):
            rows, columns = np.nonzero(np.asarray(target["instances"]) == row + 1)
            if labels[row] >= 0:
                assert boxes[row].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            else:
                assert not len(rows)


@pytest.mark.parametrize("padding", [0, 9])
def test_boxes_are_where_a_shift_and_a_mirror_have_brought_their_pixels(padding: int) -> None:
    part = loaded(*SCENES).train
    images, targets = Samples(part, lambda image, target: (image, target), None)[0, range(6)]
    draws = Draws(1, 0, torch.arange(6))
    assert part.targets is not None
    _, moved = ShiftFlip(padding, 0.5)(images, part.targets.joint(targets), draws)
    seen = 0
    for image, row in zip(*np.nonzero(moved["labels"].numpy() >= 0), strict=True):
        rows, columns = np.nonzero(moved["instances"][image].numpy() == row + 1)
        place = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        whole = targets["instances"][image] == row + 1
        if int(whole.sum()) == len(rows):  # nothing of it is cut off, nor was its box wider than what is left
            assert moved["boxes"][image, row].tolist() == place
            seen += 1
    assert seen > 5
    gone = (moved["labels"] < 0) & (targets["labels"] >= 0)
    assert padding or not gone.any()


def test_boxes_are_turned_as_torchvision_turns_them() -> None:
    numbers = torch.Generator().manual_seed(0)
    corner, size = torch.rand(5, 3, 2, generator=numbers) * 30, torch.rand(5, 3, 2, generator=numbers) * 20
    boxes = torch.cat([corner, corner + size], -1)
    degrees, scale = torch.tensor([0.0, 10, -35, 90, 170]), torch.tensor([1.0, 0.9, 1.2, 1, 0.7])
    across, down = torch.tensor([0.2, 0, -0.1, 0.3, 0]), torch.tensor([0.0, 0.4, 0.1, -0.2, 0])
    moves = inverse(degrees.double().deg2rad(), scale.double(), across.double(), down.double())
    found = around(boxes, moves, 40, 40)
    for number in range(5):
        given = tv_tensors.BoundingBoxes(boxes[number], format="XYXY", canvas_size=(40, 40), clamping_mode=None)
        shift = [20 * float(each[number]) for each in (across, down)]
        theirs = functional.affine(given, -float(degrees[number]), shift, float(scale[number]), [0.0, 0.0])
        torch.testing.assert_close(found[number], theirs.as_subclass(torch.Tensor), atol=1e-3, rtol=0)


TURNING = {"affine": RandomAffine(25, 0.2, 0.2), "auto": TrivialAugment(), "rand": RandAugment(3, 25)}


@pytest.mark.parametrize("transform", TURNING.values(), ids=TURNING)
def test_a_box_that_is_turned_is_around_its_pixels(transform: Any) -> None:
    part = loaded(*SCENES, "data.train_size=12").train
    images, targets = Samples(part, lambda image, target: (image, target), None)[0, range(12)]
    assert part.targets is not None
    _, moved = transform(images, part.targets.joint(targets), Draws(3, 0, torch.arange(12)))
    changed = 0
    for image, row in zip(*np.nonzero(moved["labels"].numpy() >= 0), strict=True):
        rows, columns = np.nonzero(moved["instances"][image].numpy() == row + 1)
        left, top, right, bottom = moved["boxes"][image, row].tolist()
        assert 0 <= left < right <= 64 and 0 <= top < bottom <= 64
        changed += not torch.equal(moved["boxes"][image, row], targets["boxes"][image, row])
        if len(rows):
            assert left - 1 <= columns.min() and columns.max() + 1 <= right + 1
            assert top - 1 <= rows.min() and rows.max() + 1 <= bottom + 1
    assert changed > 5


def test_boxes_go_with_a_crop_of_random_size() -> None:
    part = loaded(*SCENES).train
    for number in range(6):
        image, target = part.sample(number)
        draws = Draws(1, 0, torch.tensor([number]))
        top, left, high, wide = (int(each) for each in crops.boxes(torch.tensor([[64], [64]]), 0.3, draws))
        _, moved = crops.ResizedCrop(32, 0.3, "bilinear")(image, target, draws)
        whole = target["boxes"].as_subclass(torch.Tensor)
        places = (whole - torch.tensor([left, top, left, top])) * torch.tensor([32 / wide, 32 / high] * 2)
        assert part.targets is not None
        found, wanted = part.targets.seen(moved), within({"boxes": places, "labels": target["labels"]}, 32, 32)
        there = wanted["labels"] >= 0
        torch.testing.assert_close(found["labels"], wanted["labels"])
        torch.testing.assert_close(found["boxes"][there], wanted["boxes"][there], atol=1e-3, rtol=1e-4)


def test_of_an_object_that_leaves_the_image_a_quarter_must_be_left() -> None:
    boxes = torch.tensor([[-9.0, 0, 3, 4], [-9.0, 0, 2, 4], [-5.0, -5, 0.5, 20], [2.0, 2, 30, 6]])
    found = within({"boxes": boxes, "labels": torch.tensor([1, 2, 3, 4])}, 20, 10)
    assert found["labels"].tolist() == [1, -1, -1, 4]
    assert found["boxes"][0].tolist() == [0, 0, 3, 4] and found["boxes"][3].tolist() == [2, 2, 10, 6]


def coco(root: Path, **changed: Any) -> tuple[str, ...]:
    """Four images of 20x10 pixels; the second has a crowd and a box without an area."""
    (root / "pics").mkdir(exist_ok=True)
    notes = [
        {"id": 1, "image_id": 7, "category_id": 90, "bbox": [2, 1, 6, 5], "segmentation": [[2, 1, 8, 1, 8, 6, 2, 6]]},
        {"id": 2, "image_id": 8, "category_id": 3, "bbox": [0, 0, 25, 4], "iscrowd": 1,
         "segmentation": {"counts": [0, 40, 160], "size": [10, 20]}},
        {"id": 3, "image_id": 8, "category_id": 3, "bbox": [1, 1, 0, 4], "segmentation": [[1, 1, 1, 5, 1, 2]]},
        {"id": 4, "image_id": 9, "category_id": 3, "bbox": [1, 1, 9, 4], "segmentation": [[1, 1, 10, 1, 10, 5, 1, 5]]},
    ]  # fmt: skip
    tree = {
        "images": [{"id": n, "file_name": f"{n}.png", "height": 10, "width": 20} for n in (7, 8, 9, 10)],
        "categories": [{"id": 90, "name": "late"}, {"id": 3, "name": "early"}],
        "annotations": notes,
    } | changed
    for n in (7, 8, 9, 10):
        Image.new("RGB", (20, 10)).save(root / "pics" / f"{n}.png")
    (root / "all.json").write_text(json.dumps(tree))
    words = ("data=coco", f"data.root={root}", "data.annotations=all.json", "data.images=pics", "data.split=[0.5,0.5]")
    return (*words, "data.image_size=40")


def test_cocos_objects_are_read_and_go_through_the_fit(tmp_path: Path) -> None:
    words = coco(tmp_path)
    data = loaded(*words, "data.masks=true")
    assert data.classes == ["early", "late"] and data.notes == ["1 objects without an area are left out"]
    found = {each: part.sample(n)[1] for part in data.parts().values() for n, each in enumerate(part.ids)}
    assert found["pics/7.png"]["labels"].tolist() == [1] and found["pics/10.png"]["labels"].tolist() == [-1]
    assert found["pics/7.png"]["boxes"].tolist() == [[2, 1, 8, 6]]
    crowd = found["pics/8.png"]
    assert crowd["ignored"].tolist() == [True] and crowd["boxes"].tolist() == [[0, 0, 20, 4]]
    assert found["pics/7.png"]["instances"][1:6, 2:8].all() and found["pics/7.png"]["instances"].sum() <= 42
    assert crowd["instances"][:, :4].all()
    seen = Preprocess(3, 40, "squash", 1.0, "bilinear", [0.5] * 3, [0.5] * 3, "white")
    place = next(part for part in data.parts().values() if "pics/7.png" in list(part.ids))
    _, target = Samples(place, seen.fit, None).sample(0, list(place.ids).index("pics/7.png"))
    assert target["boxes"].tolist() == [[4, 4, 16, 24]] and target["instances"].shape == (40, 40)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"annotations": [{"image_id": 1, "category_id": 3, "bbox": [1, 1, 2, 2]}]}, "there is no image_id=1"),
        ({"annotations": [{"image_id": 7, "category_id": 4, "bbox": [1, 1, 2, 2]}]}, "there is no category_id=4"),
        ({"annotations": [{"image_id": 7, "category_id": 3, "bbox": [1, 1, 2]}]}, "bbox must be .left, top, width"),
        ({"images": [{"id": 7, "file_name": "../a.png", "height": 9, "width": 20}], "annotations": []}, "leads out of"),
        ({"annotations": [{"image_id": 7, "category_id": 3, "bbox": [30, 1, 2, 2]}]}, "outside of its image of 20x10"),
        ({"annotations": {}}, "has no list 'annotations'"),
        ({"images": [{"id": 7, "height": 10, "width": 20}], "annotations": []}, "must have a 'file_name'"),
        ({"images": [{"id": 7, "file_name": "7.png", "height": 10}], "annotations": []}, "whole number 'width'"),
    ],
)  # fmt: skip
def test_a_damaged_file_of_cocos_is_named_with_the_entry(tmp_path: Path, changed: dict[str, Any], why: str) -> None:
    words = coco(tmp_path, **changed)
    with pytest.raises(InputError, match=why):
        loaded(*words)


def test_an_image_of_another_size_than_its_boxes_are_of_is_named(tmp_path: Path) -> None:
    words = coco(tmp_path)
    Image.new("RGB", (30, 10)).save(tmp_path / "pics" / "7.png")
    data = loaded(*words)
    with pytest.raises(InputError, match=r"pics/7.png: is of 30x10 pixels, and its boxes are of an image of 20x10"):
        [part.sample(n) for part in data.parts().values() for n in range(len(part))]
    (tmp_path / "pics" / "7.png").unlink()
    with pytest.raises(InputError, match=r"7.png: is described, and not there"):
        loaded(*words)


def voc(root: Path, box: str = "<xmin>1</xmin><ymin>2</ymin><xmax>20</xmax><ymax>6</ymax>") -> tuple[str, ...]:
    base = root / "VOCdevkit" / "VOC2012"
    for each in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (base / each).mkdir(parents=True, exist_ok=True)
    for part, name in (("train", "a"), ("val", "b")):
        Image.new("RGB", (20, 10)).save(base / "JPEGImages" / f"{name}.jpg")
        (base / "ImageSets" / "Main" / f"{part}.txt").write_text(f"{name}\n")
        size = "<size><width>20</width><height>10</height></size>"
        thing = f"<object><name>dog</name><difficult>1</difficult><bndbox>{box}</bndbox></object>"
        (base / "Annotations" / f"{name}.xml").write_text(f"<annotation>{size}{thing}</annotation>")
    return ("data=voc_detection", f"data.root={root}", "data.image_size=40")


def test_vocs_objects_are_read_from_the_first_pixel_on(tmp_path: Path) -> None:
    data = loaded(*voc(tmp_path))
    _, target = data.train.sample(0)
    assert target["boxes"].tolist() == [[0, 1, 20, 6]] and target["ignored"].tolist() == [True]
    assert data.classes[int(target["labels"][0])] == "dog" and len(data.classes) == 20
    with pytest.raises(InputError, match=r"a.xml: object 0 has a box outside"):
        loaded(*voc(tmp_path, "<xmin>1</xmin><ymin>2</ymin><xmax>40</xmax><ymax>6</ymax>"))
    with pytest.raises(InputError, match=r"a.xml: bndbox|object must have a number at bndbox/xmax"):
        loaded(*voc(tmp_path, "<xmin>1</xmin><ymin>2</ymin><ymax>6</ymax>"))

"""What the names and sizes of classes tell."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.data.sets.arrays import ArrayImages
from cnntrain.data.sets.dataset import Part
from cnntrain.study.checking.classes import class_findings


def part(labels: list[int], ids: list[str] | None = None) -> Part:
    images = ArrayImages(np.zeros((len(labels), 3, 2, 2), np.uint8), 3)
    return Part(images, np.array(labels), ids or [str(row) for row in range(len(labels))])


def kinds(parts: dict[str, Part], classes: list[str]) -> dict[str, str]:
    return {each.kind.name: each.words for each in class_findings(parts, classes)}


@pytest.mark.parametrize(
    ("classes", "named"),
    [
        (["fold1", "fold2", "fold10"], "'fold1', 'fold2', 'fold10'"),
        (["Train", "cat", "test_2"], "'Train', 'test_2'"),
        (["bus", "car", "train"], None),  # a vehicle
        (["testes", "trainer", "folder"], None),
    ],
)
def test_classes_that_are_parts(classes: list[str], named: str | None) -> None:
    labels = [0, 0, 1, 1, 2, 2]
    found = kinds({"train": part(labels)}, classes)
    assert found.get("part_classes") == (
        None if named is None else f"{named}: data.root is above or beside what it should be"
    )


def test_a_lone_part_is_one_where_its_images_lie_in_folders_of_classes() -> None:
    ids = ["old/1.png", "old/2.png", "test/cat/1.png", "test/dog/1.png"]
    assert "part_classes" in kinds({"train": part([0, 0, 1, 1], ids)}, ["old", "test"])
    ids[2] = "test/1.png"
    assert kinds({"train": part([0, 0, 1, 1], ids)}, ["old", "test"]) == {}


def test_one_class_in_two_spellings() -> None:
    classes = ["Golden Retriever", "beagle", "golden_retriever", "1-1", "11"]
    assert kinds({"train": part([0, 1, 2, 3, 4])}, classes) == {
        "alike_classes": "'Golden Retriever' and 'golden_retriever'"
    }


def test_a_class_without_training_images_and_very_unequal_ones() -> None:
    found = kinds({"train": part([0] * 40 + [1] * 2), "val": part([0, 1, 2])}, ["ant", "bee", "cat"])
    assert found == {"empty_class": "'cat'", "imbalance": "ant has 40 training images, bee 2"}
    assert kinds({"train": part([0] * 39 + [1] * 2)}, ["ant", "bee"]) == {}


def test_several_labels_an_image_are_counted_each() -> None:
    labels = np.array([[True, False], [True, True], [True, False]])
    several = Part(ArrayImages(np.zeros((3, 3, 2, 2), np.uint8), 3), labels, ["0", "1", "2"])
    assert several.counts(2).tolist() == [3, 1]
    assert kinds({"train": several}, ["ant", "bee"]) == {}

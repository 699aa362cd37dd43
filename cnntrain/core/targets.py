"""What a sample's target is, in the words that tasks, data and networks share."""

from __future__ import annotations

from typing import Literal

Target = Literal["label", "labels", "mask", "boxes", "image"]

IN_WORDS: dict[Target, str] = {
    "label": "one label an image",
    "labels": "any number of labels an image",
    "mask": "a class for each pixel",
    "boxes": "objects in boxes",
    "image": "to make images",
}
INSTEAD: dict[Target, str] = {  # of answers to images as a whole
    "mask": "answers for each pixel",
    "boxes": "answers with boxes",
    "image": "makes images",
}
DENSE: tuple[Target, ...] = ("mask", "boxes")  # what goes with the places in an image
IGNORE = 255  # in a mask, uint8: a pixel from which nothing is learned and by which nothing is judged
MOST_CLASSES = IGNORE

"""What a check finds: kinds of faults and of warnings, and the images that each finding names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cnntrain.data.sets import decode


class Kind(NamedTuple):
    """Of findings.

    Attributes:
        name: for scripts.
        title: for people.
        is_fault: whether training on the images would be wrong, or stop; else it is a warning.
    """

    name: str
    title: str
    is_fault: bool


def _bad(kind: decode.Kind) -> Kind:
    return Kind(kind.name, f"files: {kind.title}", is_fault=True)


# images that cannot be read
BAD = {kind: _bad(kind) for kind in decode.KINDS}
# what training cannot be right with
UNUSABLE = Kind("unusable", "a training would stop here", is_fault=True)
LEAK = Kind("leak", "the same pixels in several parts", is_fault=True)
CONTRADICTION = Kind("contradiction", "the same pixels under several labels", is_fault=True)
GROUP_LEAK = Kind("group_leak", "groups in several parts", is_fault=True)
PART_CLASSES = Kind("part_classes", "classes that are parts or folds by their names", is_fault=True)
ALIKE_CLASSES = Kind("alike_classes", "classes that differ by case or by space alone", is_fault=True)
EMPTY_CLASS = Kind("empty_class", "classes without a training image", is_fault=True)
# what a person should look at
NEAR_LEAK = Kind("near_leak", "nearly the same picture in several parts", is_fault=False)
DUPLICATE = Kind("duplicate", "the same pixels several times in one part", is_fault=False)
NEAR_DUPLICATE = Kind("near_duplicate", "nearly the same picture several times in one part", is_fault=False)
LABEL = Kind("label", "labels that are likely wrong", is_fault=False)
BLANK = Kind("blank", "images of one colour", is_fault=False)
ODD_SIZE = Kind("odd_size", "far smaller or narrower than the others", is_fault=False)
IMBALANCE = Kind("imbalance", "classes of very unequal size", is_fault=False)
COLOUR = Kind("colour", "classes that their mean colour tells", is_fault=False)
LEFT_OUT = Kind("left_out", "what the source says of what it found", is_fault=False)

KINDS = (
    UNUSABLE, *BAD.values(), LEAK, CONTRADICTION, GROUP_LEAK, PART_CLASSES, ALIKE_CLASSES, EMPTY_CLASS, NEAR_LEAK,
    DUPLICATE, NEAR_DUPLICATE, LABEL, BLANK, ODD_SIZE, IMBALANCE, COLOUR, LEFT_OUT,
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """Attributes:
    ids: of the images concerned; none where it is of the set or of a class.
    words: what is to be said of it besides.
    """

    kind: Kind
    ids: Sequence[str]
    words: str

"""A pass over images before anything is made of them: which of them can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from cnntrain.core.errors import InputError
from cnntrain.data.batches.plan import WHOLE, eval_plan
from cnntrain.data.batches.reader import Reader
from cnntrain.data.batches.samples import Samples
from cnntrain.data.sets.dataset import Images, Part
from cnntrain.data.sets.decode import KINDS, UNREADABLE, ImageError, Kind, PackageError

AT_ONCE = 64
READABLE = 0


def each_of(part: Part, find: Callable[[Images, int], Any], workers: int) -> Iterator[Any]:
    """What `find` finds of each image by its position, in order; it is called by so many processes."""
    plan = eval_plan(len(part), AT_ONCE, WHOLE)
    for loaded in Reader(_Found(part, find), workers, torch.device("cpu")).batches(plan):
        assert loaded is not None, "the plan has no empty batch"
        yield from loaded[1]


def code(images: Images, position: int) -> int:
    """`READABLE`, or 1 and the place in `KINDS` of why the image is not.

    Raises:
        PackageError: what reads it is not installed.
    """
    try:
        images[position]
    except PackageError:
        raise
    except InputError as error:
        return 1 + KINDS.index(kind_of(error))
    return READABLE


def kind_of(error: InputError) -> Kind:
    """Why an image cannot be read."""
    return error.kind if isinstance(error, ImageError) else UNREADABLE


class _Found(Samples):
    """What is found of images instead of the images."""

    def __init__(self, part: Part, find: Callable[[Images, int], Any]):
        super().__init__(part, lambda image, target: (image, target), None)
        self.find = find

    def __getitem__(self, key: tuple[int, Sequence[int]]) -> tuple[Any, Any] | None:
        return None, [self.find(self.part.images, each) for each in key[1]]

"""Images that cannot be read, looked for before a run begins and left out of it: ``data.on_bad=skip``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import PIL
import torch
from torch import Tensor

from cnntrain.core import store
from cnntrain.core.digest import digest
from cnntrain.core.version import __version__
from cnntrain.data.base import Data
from cnntrain.data.batches.readable import READABLE, code, each_of
from cnntrain.data.sets.dataset import DataSet, Labelled, Part
from cnntrain.data.sets.decode import KINDS
from cnntrain.data.sets.subset import labelled_without, without
from cnntrain.runs.screen import Screen

Once = Callable[[Callable[[], list[int]]], list[int]]  # calls a function on one rank, and gives all what it returns


def sound(source: Data, found: DataSet, workers: int, once: Once) -> DataSet:
    """The set without the images that cannot be read, which `DataSet.skipped` and a note name.

    What a pass over the images has found is kept for other runs of the same files.

    Raises:
        InputError: a part or a class has no other images.
    """
    parts = found.parts()
    versions = [__version__, torch.__version__, PIL.__version__]
    depends_on = {"data": [found.fingerprint, found.modified], "background": source.background, "versions": versions}
    about: store.About = {"model": None, "data": source.name, "part": "all, readable", "cut": [], "views": 1}
    shape, key = (sum(map(len, parts.values())),), digest({"readable": depends_on})
    entry = store.Entry(key, [shape], [torch.uint8], about)
    root = store.root(source.cache_dir, "images") if source.resident not in ("ram", "off") else None

    def read() -> list[Tensor]:
        return [torch.tensor(_codes(parts, workers), dtype=torch.uint8)]

    codes = once(lambda: store.once(entry, root, read)[0].tolist())
    return without(found, _by_part(parts, codes))


def sound_labelled(found: Labelled, workers: int, once: Once) -> Labelled:
    """The same of images that no run has divided; nothing is kept.

    Raises:
        InputError: there are no others.
    """
    parts = {found.name: found.part}
    codes = once(lambda: _codes(parts, workers))
    return labelled_without(found, _by_part(parts, codes)[found.name])


def _codes(parts: Mapping[str, Part], workers: int) -> list[int]:
    """`code` of each image, part after part, with a bar on a terminal."""
    screen, codes = Screen(None), list[int]()
    with screen.bar("looking for images that cannot be read", sum(map(len, parts.values())), 0):
        for part in parts.values():
            for each in each_of(part, code, workers):
                codes.append(each)
                if screen.is_due():
                    screen.advance(len(codes), "")
    return codes


def _by_part(parts: Mapping[str, Part], codes: list[int]) -> dict[str, dict[int, str]]:
    """Of each part the positions of images that cannot be read, with the name of the reason's kind."""
    found, start = {}, 0
    for name, part in parts.items():
        own = np.array(codes[start : start + len(part)])
        found[name] = {int(row): KINDS[own[row] - 1].name for row in np.flatnonzero(own != READABLE)}
        start += len(part)
    return found

"""Sizes, modes and colours: what images look like as a whole, and which do not fit in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnntrain.core.words import CELL, printable
from cnntrain.study.checking.findings import BLANK, COLOUR, ODD_SIZE, Finding
from cnntrain.study.checking.labels import LEAST, out_of_fold
from cnntrain.study.checking.looks import Looks

SMALLER, NARROWER = 8, 10  # times, than the others' shorter side; than its own longer side
TOLD = 0.9  # F1 of a class, by mean colour


def appearance_findings(looks: Looks) -> Iterator[Finding]:
    """Images of one colour or of an odd size, and classes that mean colour tells."""
    for row in np.flatnonzero(looks.is_blank).tolist():
        yield Finding(BLANK, [looks.ids[row]], str(looks.parts[row]))
    shorter, longer = looks.sizes.min(axis=1), looks.sizes.max(axis=1)
    usual = float(np.median(shorter[looks.is_sound])) if looks.is_sound.any() else 0.0
    is_odd = looks.is_sound & ((shorter * SMALLER <= usual) | (shorter * NARROWER <= longer))
    for row in np.flatnonzero(is_odd).tolist():
        height, width = looks.sizes[row]
        yield Finding(ODD_SIZE, [looks.ids[row]], f"{width}x{height}, where the shorter side is usually {usual:g}")
    yield from _told_by_colour(looks)


def sizes(looks: Looks) -> dict[str, Any]:
    """Widths and heights in pixels, and how many different sizes there are."""
    found = looks.sizes[looks.is_sound]
    if not len(found):
        return {}
    width, height = ([int(f(found[:, axis])) for f in (np.min, np.median, np.max)] for axis in (1, 0))
    names = ("least", "median", "most")
    return {
        "width": dict(zip(names, width, strict=True)),
        "height": dict(zip(names, height, strict=True)),
        "different": len(np.unique(found, axis=0)),
    }


def written_as(looks: Looks) -> dict[str, int]:
    """How many images are of files of which mode and format, the commonest first."""
    return dict(Counter(each for each in looks.written_as[looks.is_sound] if each).most_common())


def grey(looks: Looks) -> int:
    """Images without a colour."""
    small = looks.small.astype(np.int16)
    return int((looks.is_sound & (np.ptp(small, axis=3).max(axis=(1, 2)) == 0)).sum())


def colours(looks: Looks) -> dict[str, dict[str, list[float]]]:
    """Of each class the mean of its images' mean red, green and blue, from 0 to 255, and their deviation."""
    means = _means(looks)
    found = {}
    for label, name in enumerate(looks.classes):
        own = means[looks.is_sound & (looks.labels == label)]
        if len(own):
            found[name] = {"mean": own.mean(axis=0).round(1).tolist(), "deviation": own.std(axis=0).round(1).tolist()}
    return found


def _means(looks: Looks) -> np.ndarray:
    """Mean red, green and blue of each image, float64 [n, 3]."""
    return looks.small.mean(axis=(1, 2), dtype=np.float64)


def _told_by_colour(looks: Looks) -> Iterator[Finding]:
    """Classes that are found, and not taken for others, by mean red, green and blue and their products alone."""
    rows = np.flatnonzero(looks.is_sound & (looks.labels >= 0))
    counts = np.bincount(looks.labels[rows], minlength=len(looks.classes))
    rows = rows[counts[looks.labels[rows]] >= LEAST]
    kept, labels = np.unique(looks.labels[rows], return_inverse=True)
    if len(kept) < 2:
        return
    mean = _means(looks)[rows] / 255
    products = mean[:, [0, 0, 0, 1, 1, 2]] * mean[:, [0, 1, 2, 1, 2, 2]]
    guess = out_of_fold(np.concatenate([mean, products], axis=1).astype(np.float32), labels).argmax(axis=1)
    hits = np.bincount(labels[guess == labels], minlength=len(kept))
    f1 = 2 * hits / (np.bincount(labels, minlength=len(kept)) + np.bincount(guess, minlength=len(kept)))
    for label in np.flatnonzero(f1 >= TOLD).tolist():
        yield Finding(COLOUR, [], f"{printable(looks.classes[kept[label]], CELL)}: F1 {f1[label]:.1%} by it alone")

"""What a check found, for people: the set in a few lines, then the worst of each kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cnntrain.core.words import CELL, LINE, listed, printable
from cnntrain.study.checking import appearance
from cnntrain.study.checking.everything import Checked
from cnntrain.study.checking.findings import Finding

CLASSES = 30  # at most in a table: else the smallest and the largest
ENDS = 5
IDS = 4  # of a finding


def class_rows(checked: Checked) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a table of the classes, by their images in each part and their mean colour."""
    opened, colours = checked.opened, appearance.colours(checked.looks)
    counts = {name: part.counts(len(opened.classes)) for name, part in opened.parts.items()}
    totals = np.sum(list(counts.values()), axis=0)
    order = list(range(len(opened.classes)))
    if len(order) > CLASSES:
        by_size = sorted(order, key=lambda label: (totals[label], label))
        order = [*by_size[:ENDS], *by_size[-ENDS:]]
    rows = []
    for label in order:
        name = opened.classes[label]
        colour = colours.get(name, {"mean": []})["mean"]
        cells = [f"{count[label]:,}" for count in counts.values()]
        rows.append([printable(name, CELL), *cells, " ".join(f"{each:.0f}" for each in colour)])
    return ["class", *counts, "mean colour"], rows


def set_lines(checked: Checked) -> Iterator[str]:
    """Sizes, modes, and how labels were judged."""
    looks, sizes = checked.looks, appearance.sizes(checked.looks)
    if sizes:
        width, height = sizes["width"], sizes["height"]
        if sizes["different"] == 1:
            yield f"all images are of {width['median']}x{height['median']} pixels"
        else:
            yield (
                f"width {width['least']} to {width['most']} pixels, median {width['median']}; height "
                f"{height['least']} to {height['most']}, median {height['median']}; {sizes['different']:,} sizes"
            )
    if modes := appearance.written_as(looks):
        yield "files: " + ", ".join(f"{count:,} {name}" for name, count in modes.items())
    if count := appearance.grey(looks):
        yield f"{count:,} of {int(looks.is_sound.sum()):,} images have no colour"
    if checked.judged is not None:
        yield (
            f"labels: held against a linear classifier that is right on {checked.judged.accuracy:.0%} of "
            f"{checked.judged.count:,} images that it did not learn from"
        )
    if checked.crowded:
        yield (
            f"{checked.crowded:,} images look so much like thousands of others that they were not compared with all of "
            "them"
        )


def finding_lines(checked: Checked, most: int, rest: str) -> Iterator[str]:
    """A line for each kind that was found, and below it so many findings at most.

    Args:
        rest: where the others are.
    """
    for kind, found in checked.by_kind().items():
        yield f"{'fault' if kind.is_fault else 'warning'}: {kind.title}: {len(found):,}"
        for each in found[:most]:
            yield f"  {_line(each)}"
        if len(found) > most:
            yield f"  ... and {len(found) - most:,} more in {rest}"
    if not checked.findings:
        yield "nothing was found"


def _line(each: Finding) -> str:
    ids = _named(each.ids)
    words = printable(each.words, LINE // 2)
    if len(each.ids) == 1 and each.ids[0] in each.words:  # a message that names its file by itself
        return words
    return f"{ids}: {words}" if ids and words else ids or words


def _named(ids: Sequence[str]) -> str:
    return listed(ids, IDS) if ids else ""

"""Which kind of answers a run gave, and so what its page shows of them: the one place that tells them apart."""

from __future__ import annotations

from cnntrain.runs.counts import Counts
from cnntrain.runs.objects import Objects
from cnntrain.study.page.answered import boxes, labels, made, masks
from cnntrain.study.page.answered.section import Section
from cnntrain.study.page.facts import Facts
from cnntrain.study.page.thumbnails import Album

IMAGES = 2  # dimensions of what a network's look can be laid over


def section(run: Facts, album: Album | None) -> Section:
    """Args:
    album: where pictures go; None: there are to be none.
    """
    found = run.answers
    if run.sheets:
        best = (run.result.get("best") or {}).get("epoch")
        return made.section(run.sheets, run.columns[0], run.epochs, best, run.tree.get("task") or {}, album)
    if found is None or not len(found):
        return Section(notes=[f"there are no answers to {run.samples} yet: a finished run has them"])
    if isinstance(found, Counts):
        return masks.section(found, album)
    if isinstance(found, Objects):
        return boxes.section(found, run.columns if run.result.get("test_interval") is None else (), album)
    return labels.section(found, run.result.get("temperature"), album, run.dimensions == IMAGES)

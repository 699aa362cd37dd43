"""All checks of a set, in one pass over its images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntrain.core.words import printable
from cnntrain.data.sets.dataset import Part
from cnntrain.study.checking import appearance, duplicates, labels
from cnntrain.study.checking.classes import class_findings
from cnntrain.study.checking.findings import BAD, KINDS, LEFT_OUT, UNUSABLE, Finding, Kind
from cnntrain.study.checking.groups import group_findings
from cnntrain.study.checking.looks import Looks, look
from cnntrain.study.checking.opening import Opened


@dataclass(frozen=True)
class Checked:
    """Attributes:
    findings: in the order of `KINDS`.
    judged: of labels; None where they were not asked for, or no two classes have enough images.
    crowded: images that were not compared with all others for near duplicates.
    seconds: of the pass over the images, and of what was computed from it.
    """

    opened: Opened
    looks: Looks
    findings: Sequence[Finding]
    judged: labels.Judged | None
    crowded: int
    seconds: Mapping[str, float]

    @property
    def faults(self) -> int:
        """Findings that training could not be right with."""
        return sum(each.kind.is_fault for each in self.findings)

    def by_kind(self) -> dict[Kind, list[Finding]]:
        """The kinds of which there are any."""
        found = {kind: [each for each in self.findings if each.kind == kind] for kind in KINDS}
        return {kind: each for kind, each in found.items() if each}


def check_everything(
    opened: Opened,
    workers: int,
    judges_labels: bool,
    features: Callable[[Mapping[str, Part]], np.ndarray] | None = None,
    group: str | None = None,
) -> Checked:
    """Read every image once, and look for whatever is wrong with the set.

    Args:
        features: of the images of all parts, part after part, [images, features], by which labels are judged; None:
            plain ones of small pictures.
        group: ``data.group``.
    """
    start = time.perf_counter()
    looks = look(opened.parts, opened.classes, workers)
    read = time.perf_counter()
    by = features(opened.parts) if judges_labels and features is not None else None
    with ThreadPoolExecutor(1) as beside:  # in which alone classifiers learn: they silence warnings in all threads
        learned = beside.submit(_learned, looks, judges_labels, by)
        near, crowded = duplicates.near(looks)
        judged, by_appearance = learned.result()
    found = [
        *_of_the_set(opened),
        *(Finding(BAD[bad.kind], [looks.ids[row]], bad.message) for row, bad in sorted(looks.bad.items())),
        *duplicates.exact(looks),
        *near,
        *class_findings(opened.parts, opened.classes),
        *by_appearance,
        *(group_findings(opened.parts, group) if group is not None else ()),
        *(judged.findings if judged is not None else ()),
    ]
    found.sort(key=lambda each: KINDS.index(each.kind))  # stable: within a kind the order is that of the check
    seconds = {"reading": read - start, "computing": time.perf_counter() - read}
    return Checked(opened, looks, found, judged, crowded, seconds)


def _learned(
    looks: Looks, judges_labels: bool, features: np.ndarray | None
) -> tuple[labels.Judged | None, list[Finding]]:
    """What classifiers say of labels and of colours."""
    judged = labels.judge(looks, features) if judges_labels else None
    return judged, list(appearance.appearance_findings(looks))


def _of_the_set(opened: Opened) -> Iterator[Finding]:
    if opened.problem is not None:
        yield Finding(UNUSABLE, [], opened.problem)
    for each in opened.notes:
        yield Finding(LEFT_OUT, [], each)


def facts(checked: Checked) -> dict[str, Any]:
    """Everything that was found, as plain values."""
    looks, opened, judged = checked.looks, checked.opened, checked.judged
    counts = {name: part.counts(len(opened.classes)).tolist() for name, part in opened.parts.items()}
    return {
        "parts": {name: len(part) for name, part in opened.parts.items()},
        "classes": {
            each: {name: count[label] for name, count in counts.items()} for label, each in enumerate(opened.classes)
        },
        "fingerprint": opened.fingerprint,
        "faults": checked.faults,
        "warnings": len(checked.findings) - checked.faults,
        "kinds": [
            {"kind": kind.name, "title": kind.title, "fault": kind.is_fault, "count": len(each)}
            for kind, each in checked.by_kind().items()
        ],
        "findings": [
            {"kind": each.kind.name, "ids": list(each.ids), "words": printable(each.words)} for each in checked.findings
        ],
        "sizes": appearance.sizes(looks),
        "written_as": appearance.written_as(looks),
        "grey": appearance.grey(looks),
        "colours": appearance.colours(looks),
        "labels": None if judged is None else {"accuracy": judged.accuracy, "count": judged.count},
        "not_compared": checked.crowded,
        "seconds": dict(checked.seconds),
    }

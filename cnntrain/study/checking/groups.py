"""Groups, such as the images of a patient, that are on both sides of a split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from cnntrain.core.errors import InputError
from cnntrain.core.words import printable
from cnntrain.data.sets.dataset import Part
from cnntrain.data.sets.divide import groups_of
from cnntrain.study.checking.findings import GROUP_LEAK, Finding


def group_findings(parts: Mapping[str, Part], pattern: str) -> Iterator[Finding]:
    """Each group that several parts have; none where the pattern does not match, which a training says.

    Args:
        pattern: ``data.group``.
    """
    members: dict[str, dict[str, list[str]]] = {}
    for name, part in parts.items():
        try:
            groups = part.groups or groups_of(pattern, part.ids)
        except (InputError, IndexError, re.error):  # of a table it is a column's name
            return
        for id_, group in zip(part.ids, groups, strict=True):
            members.setdefault(group, {}).setdefault(name, []).append(id_)
    for group, found in sorted(members.items()):
        if len(found) > 1:
            counts = " and ".join(f"{len(ids):,} in {name}" for name, ids in found.items())
            yield Finding(GROUP_LEAK, [id_ for ids in found.values() for id_ in ids], f"{printable(group)}: {counts}")

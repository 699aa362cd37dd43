"""The samples that a run was judged by, read again from where they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnntrain.build.data import read_data
from cnntrain.build.weights import kept_preprocess
from cnntrain.config import imports, since
from cnntrain.core.errors import InputError
from cnntrain.data.sets.dataset import Part
from cnntrain.data.sets.subset import val_limited
from cnntrain.runs import checkpoint
from cnntrain.runs import folder as folders


def part_of(run: Path, part: str, ids: Sequence[str]) -> Part:
    """A part of a run's data, decoded as its network sees it; nothing is downloaded for it.

    Args:
        ids: of the samples that the run was judged by.

    Raises:
        InputError: the data is not there any more, or is not what the run was judged by.
        ConfigError: it needs code of the user's own that is not imported.
    """
    imports.check(folders.imports(run), str(run))
    tree, data = folders.config(run), (folders.result(run) or {}).get("data") or {}
    places: dict[str, Any] = {
        key: data[key] for key in tree["data"] if isinstance(data.get(key), str) and Path(data[key]).exists()
    }
    config, _ = since.checked({**tree, "data": {**tree["data"], **places}})
    found = val_limited(read_data(replace(config.data, download=False)), config.trainer.val_limit)
    labelled = found.labelled(part)
    if data.get("fingerprint") not in (None, found.fingerprint) or [*labelled.part.ids] != [*ids]:
        where = ", ".join(places.values()) or config.data.name
        raise InputError(f"{where}: these images are not those that the run was judged by")
    if not config.data.jpeg_draft:
        return labelled.part
    best = run / checkpoint.BEST
    seen = kept_preprocess(best, checkpoint.load_run(best))
    return replace(labelled.part, images=seen.drafted(labelled.part.images))

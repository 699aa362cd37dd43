"""The images that a run was judged by, read again from where they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cnntrain.build.data import read_data
from cnntrain.config import imports, since
from cnntrain.core.errors import InputError
from cnntrain.data.sets.dataset import Images
from cnntrain.runs import folder as folders


def images_of(run: Path, part: str) -> Images:
    """Those of a part of a run's data; nothing is downloaded for them.

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
    found = read_data(replace(config.data, download=False))
    if data.get("fingerprint") not in (None, found.fingerprint):
        raise InputError(f"the images in {places or config.data.name} are not those that the run was judged by")
    return found.labelled(part).part.images

"""``cnntrain cache``: the activations that runs have left on disk, and their removal."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from cnntrain.config.schema import CacheConfig
from cnntrain.core import tables
from cnntrain.core.errors import InputError
from cnntrain.core.units import in_bytes
from cnntrain.transfer.frozen import store

COLUMNS = ("key", "model", "data", "part", "cut", "views", "size", "days unused")
LEFT = COLUMNS[:5]
DAY = 24 * 3600


def run(config: CacheConfig, overrides: Sequence[str]) -> int:
    """List the entries that `config` selects; with ``clear`` those that it has deleted."""
    root = store.root(config.cache_dir)
    if config.cache_dir is not None and not root.is_dir():
        raise InputError(f"cache_dir={config.cache_dir}: there is no such folder")
    now = time.time()
    chosen = [
        (folder, meta)
        for folder, meta in store.entries(root)
        if config.older_than is None or now - meta["used"] > config.older_than * DAY
    ]
    total = in_bytes(sum(meta["bytes"] for _, meta in chosen))
    if config.clear:
        for folder, _ in chosen:
            with suppress(FileNotFoundError):  # another process deletes it too
                shutil.rmtree(folder)
        others, size = store.sweep(root)
    else:
        remains = list(store.remains(root))
        others, size = len(remains), sum(each for _, each in remains)
    more = f", and {others} unfinished or damaged, {in_bytes(size)}," if others else ","
    if config.format == "json":
        print(json.dumps([_row(folder.name, meta) for folder, meta in chosen], indent=2))
    elif config.clear:
        print(f"deleted {len(chosen)} entries, {total}{more} from {root}")
    else:
        cells = [_cells(_row(folder.name, meta), now) for folder, meta in chosen]
        print(tables.table(f"{len(chosen)} entries, {total}{more} in {root}", COLUMNS, cells, LEFT), end="")
    return 0


def _row(key: str, meta: dict[str, Any]) -> dict[str, Any]:
    return {"key": key, **meta["about"], **{name: meta[name] for name in ("bytes", "created", "used")}}


def _cells(row: dict[str, Any], now: float) -> list[str]:
    plain = [row["model"], row["data"], row["part"], ", ".join(row["cut"]), str(row["views"])]
    return [row["key"][:12], *plain, in_bytes(row["bytes"]), f"{(now - row['used']) / DAY:.1f}"]

"""``cnntrain cache``: the images, activations and indices of shards that runs have left on disk, and their removal."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cnntrain.config.schema import Command, Ended
from cnntrain.core import plain_json, store, tables
from cnntrain.core.errors import InputError
from cnntrain.core.limits import NotNegative, Place
from cnntrain.core.units import in_bytes
from cnntrain.core.words import tell

KINDS = ("activations", "images", "shards")
COLUMNS = ("key", "model", "data", "part", "cut", "views", "size", "days old", "days unused")
LEFT = COLUMNS[:5]
DAY = 24 * 3600


@dataclass(frozen=True)
class Cache(Command):
    cache_dir: Place | None
    older_than: NotNegative | None  # days without use
    clear: bool
    format: Literal["table", "json"]

    def execute(self, typed: Sequence[str]) -> Ended:
        """List the entries that are asked for; with ``clear`` those that it has deleted."""
        roots = [Path(self.cache_dir).absolute()] if self.cache_dir else [store.root(None, kind) for kind in KINDS]
        if self.cache_dir is not None and not roots[0].is_dir():
            raise InputError(f"cache_dir={self.cache_dir}: there is no such folder")
        now = time.time()
        chosen = [
            (folder, meta)
            for root in roots
            for folder, meta in store.by_use(root)
            if self.older_than is None or now - meta["used"] > self.older_than * DAY
        ]
        where = " and ".join(map(str, roots))
        total = in_bytes(sum(meta["bytes"] for _, meta in chosen))
        if self.clear:
            for folder, _ in chosen:
                try:
                    shutil.rmtree(folder)
                except OSError as error:
                    if not isinstance(error, FileNotFoundError):  # which another process has deleted
                        raise InputError(f"cannot delete {folder}: {error.strerror}") from error
        remains = [each for root in roots for each in store.remains(root)]
        others, size = len(remains), sum(each for _, each in remains)
        if self.clear:
            for root in roots:
                store.sweep(root)
        more = f", and {others} unfinished or damaged, {in_bytes(size)}," if others else ","
        if self.format == "json":
            print(plain_json.text([_row(folder.name, meta) for folder, meta in chosen], indent=2))
        elif self.clear:
            tell(f"deleted {len(chosen)} entries, {total}{more} from {where}")
        else:
            cells = [_cells(_row(folder.name, meta), now) for folder, meta in chosen]
            print(tables.table(f"{len(chosen)} entries, {total}{more} in {where}", COLUMNS, cells, LEFT), end="")
        return Ended()


def _row(key: str, meta: dict[str, Any]) -> dict[str, Any]:
    return {"key": key, **meta["about"], **{name: meta[name] for name in ("bytes", "created", "used")}}


def _cells(row: dict[str, Any], now: float) -> list[str]:
    of = row["model"] or ("(shards)" if row["cut"] else "(images)")
    plain = [of, row["data"], row["part"], ", ".join(row["cut"]), str(row["views"])]
    ages = [f"{(now - row[since]) / DAY:.1f}" for since in ("created", "used")]
    return [row["key"][:12], *plain, in_bytes(row["bytes"]), *ages]

"""A folder held by one process at a time: the lock goes with the process, killed or not."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cnntrain.core.errors import InputError

LOCK = ".lock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder, so that no second process writes to it; the lock goes with the process, killed or not.

    Raises:
        InputError: another process holds it.
    """
    with open(folder / LOCK, "a") as file:
        patience = 5  # `in_use` of another process locks for an instant
        while not _locked(file, fcntl.LOCK_EX):
            patience -= 1
            if not patience:
                raise InputError(f"{folder} is in use by a run under way")
            time.sleep(0.05)
        _held.add(file)
        try:
            yield
        finally:
            _held.discard(file)


def in_use(folder: Path) -> bool:
    """Whether a run under way holds the folder."""
    if not (folder / LOCK).exists():
        return False
    with open(folder / LOCK, "rb") as file:
        return not _locked(file, fcntl.LOCK_SH)


def _locked(file: IO[Any], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _close_held() -> None:
    for file in _held:
        file.close()


# a forked process (a loader's worker) shares the lock, and would keep it for seconds after its parent was killed
_held: set[IO[Any]] = set()
os.register_at_fork(after_in_child=_close_held)

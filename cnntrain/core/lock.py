"""A folder held by one process at a time: the lock goes with the process, killed or not.

Some network drives have no locks: there a folder is never in use, which is said by whoever takes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cnntrain.core.errors import InputError
from cnntrain.core.words import tell

LOCK = ".lock"
NO_LOCKS = "no locks"
LACKING = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # what drives without locks answer


@contextmanager
def held(folder: Path, patience: int = 5) -> Iterator[None]:
    """Hold the folder, so that no second process writes to it; the lock goes with the process, killed or not.

    Args:
        patience: how often it is tried, every twentieth of a second; `in_use` of another process locks for an instant.

    Raises:
        InputError: another process holds it, or it is another user's.
    """
    with _opened(folder, "ab") as file:
        while not (locked := _locked(file, fcntl.LOCK_EX)):
            patience -= 1
            if not patience:
                raise InputError(f"{folder} is in use by a run under way")
            time.sleep(0.05)
        if locked is NO_LOCKS:
            tell(f"note: {folder} is on a drive without locks: take care that no second run goes on in it", sys.stderr)
        _held.add(file)
        try:
            yield
        finally:
            _held.discard(file)


def in_use(folder: Path) -> bool:
    """Whether a run under way holds the folder."""
    try:
        with open(folder / LOCK, "rb") as file:
            return not _locked(file, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False
    except PermissionError:  # what belongs to others is not free
        return True


def _opened(folder: Path, mode: str) -> IO[Any]:
    try:
        return open(folder / LOCK, mode)
    except OSError as error:
        reason = error.strerror
        try:
            owner = folder.owner()
        except (KeyError, OSError):  # a user without a name
            owner = "another user"
        if isinstance(error, PermissionError):
            reason = f"it belongs to {owner}, and you may not write there: copy it, and give the copy"
        raise InputError(f"{folder} cannot be used: {reason}") from error


def _locked(file: IO[Any], how: int) -> bool | str:
    """Whether nobody else has the lock; `NO_LOCKS`, which counts as that, where there are none."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in LACKING:
            return NO_LOCKS
        raise
    return True


def _close_held() -> None:
    for file in _held:
        file.close()


# a forked process (a loader's worker) shares the lock, and would keep it for seconds after its parent was killed
_held: set[IO[Any]] = set()
os.register_at_fork(after_in_child=_close_held)

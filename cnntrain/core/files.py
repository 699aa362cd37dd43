"""Files that are either whole or as they were before, whatever happens while they are written."""

from __future__ import annotations

import os
from pathlib import Path

from cnntrain.core.errors import InputError, RunError


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Replace `path` by `content` in one step that survives a crash.

    Raises:
        RunError: the disk is full or cannot be written; the file that was there is intact.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        kept = "; the file written before is intact" if path.exists() else ""
        raise RunError(f"cannot write {path}: {error.strerror}{kept}") from error


def link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, in one step; both are only ever replaced, never written into.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        os.link(source, temporary)
        os.replace(temporary, target)
    except OSError:  # a file system without hard links
        write_atomic(target, source.read_bytes())


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet, and the folders above it.

    Raises:
        InputError: it is there, or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise InputError(f"{path} is there already") from error
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def remove_temporary(folder: Path) -> None:
    """Delete what a killed run left half written. Only the holder of the folder's lock may call this."""
    for file in folder.glob(".*.tmp"):
        file.unlink()

"""Files that are either whole or as they were before, whatever happens while they are written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cnntrain.core.errors import InputError, RunError

RESERVED = 16 * 1024  # bytes


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within the block this file is written or closed.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error


@contextmanager
def reserved(folder: Path) -> Iterator[Callable[[], None]]:
    """Within the block the disk has room left for a last small file in `folder`; what is yielded makes the room free.

    Raises:
        RunError: the disk is full already.
    """
    path = _beside(folder / "reserved")
    try:
        with writing(folder), open(path, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, RESERVED)
        yield lambda: _discard(path)
    finally:
        _discard(path)


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Replace `path` by `content` in one step that survives a crash.

    Raises:
        RunError: the disk is full or cannot be written; the file that was there is intact.
    """
    temporary = _beside(path)
    try:
        _write(temporary, content)
        os.replace(temporary, path)
        _flush(path.parent)
    except OSError as error:
        _discard(temporary)
        kept = "; the file written before is intact" if path.exists() else ""
        raise RunError(f"cannot write {path}: {error.strerror}{kept}") from error


def link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, in one step; both are only ever replaced, never written into.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    temporary = _beside(target)
    try:
        os.link(source, temporary)
        os.replace(temporary, target)
    except OSError:  # a file system without hard links
        write_atomic(target, source.read_bytes())


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet, and the folders above it: after a crash it is whole or still not there.

    Raises:
        InputError: it is there, or cannot be written.
    """
    temporary = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(temporary, content)
            _name(temporary, path)
            _flush(path.parent)
        finally:
            _discard(temporary)
    except FileExistsError as error:
        if not path.parent.is_dir():
            raise InputError(f"cannot write {path}: {error.filename} is a file, not a folder") from error
        raise InputError(f"{path} is there already") from error
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def _name(temporary: Path, path: Path) -> None:
    """Give a written file a name that is still free; raises FileExistsError where it is not."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: the name is taken first, so that no other file is lost
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.replace(temporary, path)


def _beside(path: Path) -> Path:
    """Where what will be `path` is written first."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _discard(path: Path) -> None:
    """Delete what may be there. On a read-only disk not even what is not there can be deleted: the error before that is
    the one to tell."""
    with suppress(OSError):
        path.unlink()


def _write(path: Path, content: bytes | memoryview) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush(folder: Path) -> None:
    """Let the names in a folder reach the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def remove_temporary(folder: Path) -> None:
    """Delete what a killed run left half written. Only the holder of the folder's lock may call this."""
    for file in folder.glob(".*.tmp"):
        file.unlink()


def sha256_of(path: Path) -> str:
    """Hex digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

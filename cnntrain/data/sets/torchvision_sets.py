"""Torchvision's downloadable sets: finding the files, fetching them, and saying what is wrong."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntrain.core import network
from cnntrain.core.errors import InputError
from cnntrain.core.paths import absolute
from cnntrain.data.base import Data

if TYPE_CHECKING:
    from cnntrain.data.sets.arrays import Arrays
    from cnntrain.data.sets.dataset import DataSet

DIGITS = [str(digit) for digit in range(10)]  # one spelling, so that mnist's model can be evaluated on svhn


@dataclass(frozen=True)
class TorchvisionSet(Data):
    """A set with official train and test parts; the val part is carved from train."""

    divides = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.root is None:
            raise ValueError("root is required: the folder where the files are, or are downloaded to")
        if self.split is not None and len(self.split) == 3:
            raise ValueError(f"split must be two fractions (train, val), not {self.split}: the test part is official")

    def load_from(
        self, kind: Any, train: dict[str, Any], test: dict[str, Any], classes: Sequence[str] | None = None
    ) -> DataSet:
        """Load the parts of torchvision's class `kind`, whose arguments `train` and `test` select them.

        Args:
            classes: names in the order of the labels; None takes torchvision's.

        Raises:
            InputError: files are missing and cannot be downloaded, or are damaged.
        """
        from cnntrain.data.sets.arrays import divided_set

        files = _files(kind, self._folder())
        official = {}
        for name, which in (("train", train), ("test", test)):
            opened = self._open(kind, which)
            classes = list(classes or opened.classes)
            official[name] = _arrays(opened, name, files, len(classes))
        assert classes is not None
        return divided_set(self, official, classes)

    def _open(self, kind: Any, which: dict[str, Any]) -> Any:
        """Torchvision's object. It verifies md5 sums before it unpickles anything."""
        root = self._folder()
        try:
            return kind(str(root), download=False, **which)
        except MemoryError:
            raise
        except Exception as error:  # missing is a RuntimeError, damaged may be anything
            unreadable = error
        files, archives = _files(kind, root), _archives(kind, root)
        bad = [file.path for file in files if not file.is_good()]
        if not bad:
            raise _unreadable(files, unreadable)
        missing = [archive for archive in archives if not archive.path.exists()]
        for archive in archives:
            if archive not in missing and not archive.is_good() and not self._is_whole(archive.path):
                raise InputError(f"{archive.path}: is damaged or incomplete (wrong md5 sum): delete it and run again")
        try:
            with _downloading(missing, allowed=self.download):
                return kind(str(root), download=True, **which)  # unpacks only, if nothing is missing
        except Exception as error:
            if not missing:
                raise _unreadable(files, error) from error
            raise InputError(self._ways_out(archives, bad, error)) from error

    def _is_whole(self, archive: Path) -> bool:
        """Whether what is packed in an archive with an unknown md5 sum is known to be undamaged."""
        return False

    def _folder(self) -> Path:
        assert self.root is not None
        return Path(absolute(self.root))

    def _ways_out(self, archives: Sequence[File], bad: Sequence[Path], error: Exception) -> str:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        names = ", ".join(archive.path.name for archive in archives)
        origin = archives[0].urls[0].rpartition("/")[0]
        return (
            f"data={self.name}: not found, and not downloaded: {reason}\n"
            f"  missing or damaged: {bad[0]}{f' and {len(bad) - 1} more' if len(bad) > 1 else ''}\n"
            f"  Put {names} into {archives[0].path.parent} (from {origin}/),\n"
            f"  or set data.root=<the folder of another copy, now {self._folder()}>,\n"
            "  or take data=digits or data=fake, which need no download."
        )


class File(NamedTuple):
    """A file that torchvision reads, or downloads from one of `urls`; without md5 it is good if it exists."""

    path: Path
    md5: str | None
    urls: tuple[str, ...] = ()

    def is_good(self) -> bool:
        from torchvision.datasets.utils import check_integrity

        try:
            return bool(check_integrity(self.path, self.md5))
        except OSError:
            return False


def _archives(kind: Any, root: Path) -> list[File]:
    if hasattr(kind, "split_list"):  # SVHN
        listed = [kind.split_list[part] for part in ("train", "test")]
        return [File(root / name, md5, (url,)) for url, name, md5 in listed]
    if hasattr(kind, "resources"):  # MNIST and its like
        raw = root / kind.__name__ / "raw"
        return [File(raw / name, md5, tuple(mirror + name for mirror in kind.mirrors)) for name, md5 in kind.resources]
    return [File(root / kind.filename, kind.tgz_md5, (kind.url,))]  # CIFAR, STL10


def _files(kind: Any, root: Path) -> list[File]:
    if hasattr(kind, "split_list"):
        return _archives(kind, root)
    if hasattr(kind, "resources"):
        return [File(archive.path.with_suffix(""), None) for archive in _archives(kind, root)]
    meta = [(kind.meta["filename"], kind.meta["md5"])] if hasattr(kind, "meta") else []
    return [File(root / kind.base_folder / name, md5) for name, md5 in [*kind.train_list, *kind.test_list, *meta]]


def _unreadable(files: Sequence[File], error: Exception) -> InputError:
    names = ", ".join(file.path.name for file in files)
    reason = str(error) or type(error).__name__
    return InputError(f"{files[0].path.parent}: cannot be read ({reason}): delete {names} there and run again")


def _arrays(opened: Any, name: str, files: Sequence[File], classes: int) -> Arrays:
    """Torchvision's data and labels as uint8 [n, channels, h, w] and int64 [n]."""
    import numpy as np

    from cnntrain.data.sets.arrays import Arrays

    images = np.asarray(opened.data)
    labels = np.asarray(opened.targets if hasattr(opened, "targets") else opened.labels).astype(np.int64)
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[-1] == 3:
        images = images.transpose(0, 3, 1, 2)
    well_formed = images.ndim == 4 and images.dtype == np.uint8 and labels.shape == images.shape[:1]
    if not well_formed or not len(labels) or labels.min() < 0 or labels.max() >= classes:
        error = ValueError(f"{name}: {labels.shape} labels below {classes} for images {images.shape}")
        raise _unreadable(files, error)
    return Arrays(np.ascontiguousarray(images), labels, [f"{name}/{i}" for i in range(len(labels))])


@contextlib.contextmanager
def _downloading(missing: Sequence[File], allowed: bool) -> Iterator[None]:
    """Let torchvision fetch what is missing: in limited time, its messages on stderr, leaving no halves."""
    if missing and not allowed:
        raise PermissionError("data.download is false")
    if missing:
        reason = network.unreachable(missing[0].urls)
        if reason is not None:
            raise OSError(reason)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(network.SECONDS)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(before)
        halves = [archive for archive in missing if archive.path.exists() and not archive.is_good()]
        for archive in halves:
            archive.path.unlink()
        if halves:
            raise OSError(f"what came from {halves[0].urls[0]} is incomplete or has a wrong md5 sum")

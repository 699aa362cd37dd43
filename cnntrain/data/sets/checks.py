"""Refusals of keys that a source has no use for: a setting is honoured or answered, never ignored."""

from __future__ import annotations

from cnntrain.data.base import Data


def refuse_root(data: Data) -> None:
    """Raise ValueError where a root is given to a source that reads no files."""
    if data.root is not None:
        raise ValueError(f"root has no meaning for data={data.name}, which reads no files: leave it null")


def refuse_download(data: Data) -> None:
    """Raise ValueError where a download is asked of a source that has nothing to download."""
    if data.download:
        raise ValueError(f"download=true has no meaning for data={data.name}, which cannot download: leave it false")


def refuse_split(data: Data) -> None:
    """Raise ValueError where fractions are given to a source whose parts are made in their sizes."""
    if data.split is not None:
        raise ValueError(f"split has no meaning for data={data.name}: train_size, val_size and test_size are its parts")

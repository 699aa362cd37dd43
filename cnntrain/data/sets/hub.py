"""Loading a set through the datasets package: from a folder, its cache or the hub; never by code of the set's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnntrain.core.errors import InputError
from cnntrain.core.network import unreachable
from cnntrain.core.paths import absolute
from cnntrain.core.words import LINE, printable
from cnntrain.data.base import Data
from cnntrain.data.sets.extras import needed

EXTRA = "huggingface"
BUILDERS = ("arrow", "cache", "imagefolder", "parquet")  # what hold images and need no decoder but Arrow's and ours
SAVED = ("dataset_dict.json", "state.json")  # what `save_to_disk` leaves


def tables(source: Data, path: str, config_name: str | None, revision: str | None) -> tuple[dict[str, Any], list[Path]]:
    """The splits of a set by name, or all of it under ``all``, each a `datasets.Dataset`; and the folders in which its
    images may be files.

    Args:
        path: owner/name, or an absolute path.

    Raises:
        InputError: it is not there, cannot be had without a network, or is of a format without images.
        ConfigError: the package datasets is not installed.
    """
    datasets = needed(source, "datasets", EXTRA)
    cache = None if source.root is None else absolute(source.root)
    is_local = os.path.isabs(path)
    roots = [Path(path)] if is_local else [Path(cache or datasets.config.HF_DATASETS_CACHE), _hub_cache()]
    if is_local and any((Path(path) / each).is_file() for each in SAVED):
        with _explained(path):
            return _by_name(datasets.load_from_disk(path)), roots
    reason = None if is_local else _why_offline(source)
    with _offline(datasets) if reason else _as_it_is(), _explained(path, reason):
        builder = datasets.load_dataset_builder(path, config_name, revision=revision, cache_dir=cache)
        if builder.name not in BUILDERS:
            hint = "; of tar files: data=webdataset" if builder.name == "webdataset" else ""
            raise InputError(
                f"data.path={path}: is of the format {builder.name}; parquet, arrow and folders of images are "
                f"read{hint}"
            )
        builder.download_and_prepare()
        return _by_name(builder.as_dataset()), roots


def _by_name(found: Any) -> dict[str, Any]:
    return {str(name): each for name, each in found.items()} if isinstance(found, Mapping) else {"all": found}


def _hub_cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _why_offline(source: Data) -> str | None:
    """Why the hub is not asked; None where it is."""
    from huggingface_hub import constants

    if not source.download:
        return "data.download is false"
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    return unreachable([constants.ENDPOINT])


@contextmanager
def _offline(datasets: Any) -> Iterator[None]:
    """Within the block the package takes what is in its cache, and does not try the hub for minutes."""
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _explained(path: str, offline: str | None = None) -> Iterator[None]:
    """Raises InputError for whatever the package raises: nearly any type, with the reason in what caused it."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = printable(" ".join(str(cause).split()) or type(cause).__name__, LINE // 4)
        if offline is None:
            raise InputError(f"data.path={path}: cannot be loaded: {reason}") from error
        raise InputError(
            f"data.path={path}: not in the cache of datasets, and the hub is not asked: {offline}. Three ways out:\n"
            f"  data.path=<a folder>: of parquet files or images that you copied here\n"
            f"  a filled cache (HF_HOME, or data.root, from a machine with a network)\n"
            f"  data.download=true with a network"
        ) from error

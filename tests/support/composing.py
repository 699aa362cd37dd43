"""Configurations for tests: what the same choices of groups compose to is composed once, which takes a third of a
second while coverage counts lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hydra._internal import config_loader_impl as loading
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import DefaultsList
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from cnntrain.config import compose
from cnntrain.config.check import plain
from cnntrain.config.loader import SILENT
from cnntrain.config.search_path import USER, folders
from cnntrain.config.text import as_text

HYDRAS = (
    (OmegaConf, "load"),
    (loading, "create_defaults_list"),
    (loading.ConfigLoaderImpl, "_compose_config_from_defaults_list"),
)
AS_EVER = tuple(getattr(place, name) for place, name in HYDRAS)


def composed(overrides: Sequence[str], command: str = "train") -> dict[str, Any]:
    """The tree of a command line."""
    return deepcopy(_composed(tuple(folders()), command, tuple(overrides)))


@cache
def _composed(places: tuple[Path, ...], command: str, overrides: tuple[str, ...]) -> dict[str, Any]:
    return plain(compose.compose_config(command, compose.force(compose.parse(as_text(command, overrides)))))


@contextmanager
def composed_once() -> Iterator[None]:
    """Within the block Hydra reads and merges our own YAML once for each choice of groups, and lays values over a copy
    of that, as ever. Where a user's folder or settings of Hydra's own have a part, it does all anew."""
    load, make_list, merge = AS_EVER
    lists: dict[Any, DefaultsList] = {}
    trees: dict[Any, DictConfig] = {}
    files: dict[str, Any] = {}

    def loaded(file: Any) -> Any:
        if isinstance(file, str | Path):
            return load(file)
        start, text = file.tell(), file.read()
        if text not in files:
            file.seek(start)
            files[text] = load(file)
        return deepcopy(files[text])

    def listed(
        repo: IConfigRepository, config_name: str | None, overrides_list: list[Override], **how: bool
    ) -> DefaultsList:
        choices = [
            each for each in overrides_list
            if repo.group_exists(each.key_or_group) and not isinstance(each.value(), dict)
        ]  # fmt: skip
        typed = [str(each.input_line) for each in choices]
        key = (_places(repo), config_name, *typed, *how.values())
        if any(each.provider == USER for each in repo.get_sources()) or any(
            each.startswith("hydra") and each != SILENT for each in typed
        ):
            return make_list(repo, config_name, overrides_list, **how)
        if key not in lists:
            lists[key] = make_list(repo, config_name, choices, **how)
        found = lists[key]
        values = [each for each in overrides_list if each not in choices and not each.is_sweep_override()]
        return replace(found, config_overrides=values)

    def merged(self: loading.ConfigLoaderImpl, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        known = next((key for key, each in lists.items() if each.defaults is defaults), None)
        if known is None:
            return merge(self, defaults, repo)
        if known not in trees:
            trees[known] = merge(self, defaults, repo)
        return deepcopy(trees[known])

    with _in_hydra(loaded, listed, merged):
        yield


def composed_anew() -> AbstractContextManager[None]:
    """Within the block Hydra is as it is without tests."""
    return _in_hydra(*AS_EVER)


@contextmanager
def _in_hydra(*functions: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for (place, name), function in zip(HYDRAS, functions, strict=True):
            stack.enter_context(patch.object(place, name, function))
        yield


def _places(repo: IConfigRepository) -> tuple[str, ...]:
    return tuple(each.full_path() for each in repo.get_sources())

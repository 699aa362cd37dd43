"""Configurations for tests, composed once for each command line, which takes a third of a second."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from cnntrain.config import compose
from cnntrain.config.check import plain
from cnntrain.config.search_path import folders, groups
from cnntrain.config.text import as_text


def composed(overrides: Sequence[str], command: str = "train") -> dict[str, Any]:
    """The tree of a command line, its values laid over what the choices compose, as Hydra lays them."""
    return deepcopy(_composed(tuple(folders()), command, tuple(overrides)))


@cache
def _composed(places: tuple[Path, ...], command: str, overrides: tuple[str, ...]) -> dict[str, Any]:
    parsed = compose.parse(as_text(command, overrides))
    values = [each for each in parsed if each.key_or_group not in groups()]
    choices = compose.force([each for each in parsed if each not in values])
    tree = deepcopy(_chosen(places, command, tuple(choices)))
    for each in values:
        if each.is_delete():
            section, _, key = each.key_or_group.rpartition(".")
            with open_dict(tree):
                del OmegaConf.select(tree, section)[key]
        else:
            OmegaConf.update(tree, each.key_or_group, each.value(), merge=True, force_add=True)
    return plain(tree)


@cache
def _chosen(places: tuple[Path, ...], command: str, lines: tuple[str, ...]) -> DictConfig:
    return compose.compose_config(command, lines)

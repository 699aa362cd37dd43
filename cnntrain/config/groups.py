"""Which file is behind each ``<group>.name``, and where the package's own YAML is."""

from __future__ import annotations

import importlib
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import get_type_hints

from cnntrain.augment.base import Augment
from cnntrain.config.schema import CacheConfig, EvalConfig, ModelsConfig, PlotConfig, SummaryConfig, TrainConfig
from cnntrain.data.base import Data
from cnntrain.optim.base import Optim
from cnntrain.schedule.base import Schedule
from cnntrain.transfer.base import Transfer

PACKAGE = Path(__file__).parent.parent
SCHEMAS: dict[str, type] = {
    "train": TrainConfig,
    "eval": EvalConfig,
    "models": ModelsConfig,
    "plot": PlotConfig,
    "cache": CacheConfig,
    "summary": SummaryConfig,
}


# group -> the base class of its configs; the subclass is in cnntrain/<group>/<name>.py
PLUGINS: dict[str, type] = {
    "data": Data,
    "augment": Augment,
    "optim": Optim,
    "schedule": Schedule,
    "transfer": Transfer,
}


@cache
def plugin_names(group: str) -> tuple[str, ...]:
    """What ``<group>.name`` can be: the files of ``cnntrain/<group>/`` that have a YAML of their name."""
    files = {file.stem for file in (PACKAGE / group).glob("*.py")}
    return tuple(sorted(files & {file.stem for file in (builtin_dir() / group).glob("*.yaml")}))


def plugin_class(group: str, name: str) -> type:
    """The one subclass of the group's base that ``cnntrain/<group>/<name>.py`` defines."""
    module = importlib.import_module(f"cnntrain.{group}.{name}")
    base = PLUGINS[group]
    found = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, base) and each.__module__ == module.__name__
    ]
    assert len(found) == 1, f"{module.__name__} must define one subclass of {base.__name__}"
    return found[0]


def builtin_dir() -> Path:
    """The tree of YAML that comes with the package: in a wheel beside the modules, in a checkout beside the package."""
    inside = PACKAGE / "configs"
    return inside if inside.is_dir() else PACKAGE.parent / "configs"


def known_keys() -> list[str]:
    """Every key that some configuration of `cnntrain train` has, dotted."""
    keys = []
    for name, kind in get_type_hints(TrainConfig).items():
        group = name if name in PLUGINS else None
        kinds = [plugin_class(group, each) for each in plugin_names(group)] if group else [kind]
        keys += [f"{name}.{each.name}" for kind in kinds if is_dataclass(kind) for each in fields(kind)] or [name]
    return list(dict.fromkeys(keys))

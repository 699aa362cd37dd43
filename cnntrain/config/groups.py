"""Which class is behind each ``<group>.name`` and each command, and where the package's own YAML is."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import get_type_hints

from cnntrain.augment.base import Augment
from cnntrain.config import imports
from cnntrain.config.method import Method
from cnntrain.config.schema import Command, TrainConfig
from cnntrain.core.words import snake_case
from cnntrain.data.base import Data
from cnntrain.optim.base import Optim
from cnntrain.schedule.base import Schedule
from cnntrain.tasks.base import Task
from cnntrain.transfer.base import Transfer

PACKAGE = Path(__file__).parent.parent
# groups of a training -> the base class of their configs; the subclass is in cnntrain/<group>/<name>.py
PLUGINS: dict[str, type] = {
    "data": Data,
    "task": Task,
    "augment": Augment,
    "optim": Optim,
    "schedule": Schedule,
    "transfer": Transfer,
}
ALL_PLUGINS: dict[str, type] = {**PLUGINS, "method": Method}  # those of other commands, too
PACKAGES = {"task": "tasks", "method": "study.explain.methods"}  # the groups whose package has another name
ABSTRACT = "base"  # the YAML that the others of a group inherit


def plugin_names(group: str) -> tuple[str, ...]:
    """What ``<group>.name`` can be: the modules of ``cnntrain/<group>/`` that have a YAML of their name, and what the
    user's own modules define."""
    return tuple(sorted(_our_plugins(group) | _users(ALL_PLUGINS[group]).keys()))


@cache
def _our_plugins(group: str) -> frozenset[str]:
    folder = PACKAGE.joinpath(*PACKAGES.get(group, group).split("."))
    modules = {file.stem for file in folder.glob("*.py")} | {file.parent.name for file in folder.glob("*/__init__.py")}
    return frozenset(modules & {file.stem for file in (builtin_dir() / group).glob("*.yaml")} - {ABSTRACT})


def plugin_class(group: str, name: str) -> type:
    """The subclass of the group's base that is called `name`; of ours the one that the module of this name defines."""
    users = _users(ALL_PLUGINS[group])
    if name in users:
        return users[name]
    return _defined_in(f"cnntrain.{PACKAGES.get(group, group)}.{name}", ALL_PLUGINS[group])


def command_names() -> tuple[str, ...]:
    return tuple(sorted(_our_commands() | _users(Command).keys()))


@cache
def _our_commands() -> frozenset[str]:
    return frozenset(file.stem for file in (PACKAGE / "commands").glob("*.py")) - {"__init__"}


def command_class(name: str) -> type[Command]:
    """The configuration of the command `name`, which is what runs it."""
    users = _users(Command)
    return users[name] if name in users else _defined_in(f"cnntrain.commands.{name}", Command)


def _users(base: type) -> dict[str, type]:
    """The classes of the user's own modules, by the snake case of their names."""
    found = (each for module in imports.modules() for each in _subclasses(vars(module), base, module.__name__))
    return {snake_case(each.__name__): each for each in found}


def _defined_in(name: str, base: type) -> type:
    found = list(_subclasses(vars(importlib.import_module(name)), base, name))
    assert len(found) == 1, f"{name} must define one subclass of {base.__name__}"
    return found[0]


def _subclasses(names: dict[str, object], base: type, module: str) -> Iterator[type]:
    """Those that are defined there, but for the ones of a leading underscore."""
    for each in names.values():
        if isinstance(each, type) and issubclass(each, base) and each.__module__ == module and each.__name__[0] != "_":
            yield each


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

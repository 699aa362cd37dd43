"""A configuration that a checkpoint holds, as this version has it: keys may have come since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cnntrain.config.check import check, plain
from cnntrain.config.groups import ALL_PLUGINS
from cnntrain.config.schema import TrainConfig
from cnntrain.core import plain_json
from cnntrain.core.errors import ConfigError
from cnntrain.core.keys import flat

Tree = Mapping[str, Any]
ALWAYS = {"model", "data", "optim", "schedule", "trainer"}


def checked(saved: Tree) -> tuple[TrainConfig, list[str]]:
    """The configuration, in which a key that it lacks has its default, and a line that names those.

    A key's default is what was done before there was the key.

    Raises:
        ConfigError: it is wrong in another way.
    """
    tree, notes = completed(saved)
    return check(tree, TrainConfig), notes


def completed(saved: Tree) -> tuple[Tree, list[str]]:
    """The same before it is checked: a configuration that is wrong in another way stays so, and one that lacks a part
    which each version had is damaged."""
    try:
        check(saved, TrainConfig)
    except ConfigError:
        if not saved.keys() >= ALWAYS:
            return saved, []
        tree = _settled(_filled(saved, defaults(saved)))
        values, new = flat(tree), sorted(flat(tree).keys() - flat(saved).keys())
        named = ", ".join(f"{key}={plain_json.text(values[key])}" for key in new)
        return tree, [f"keys that are newer than the checkpoint have their defaults: {named}"] if new else []
    return saved, []


def defaults(saved: Tree, command: str = "train") -> Tree:
    """What is composed of the choices that a command's configuration made, as far as there is a file of them; of a
    choice without one all keys are the configuration's own."""
    from cnntrain.config.compose import compose_config
    from cnntrain.config.search_path import groups, looking

    with looking():
        chosen = {group: saved[group].get("name") for group in ALL_PLUGINS.keys() & saved.keys()}
        files = {group: groups().get(group, ()) for group in chosen}
        return plain(
            compose_config(command, [f"{group}={name}" for group, name in chosen.items() if name in files[group]])
        )


def _settled(tree: Tree) -> Tree:
    """As a run keeps it, where it is right: a default may stand for what other keys decide."""
    try:
        return asdict(check(tree, TrainConfig))
    except ConfigError:
        return tree


def _filled(saved: Tree, defaults: Tree) -> dict[str, Any]:
    """The keys of both, with the values that were saved; what was saved as a group of free keys stays as it is."""
    tree = dict(saved)
    for key, value in defaults.items():
        if key not in saved:
            tree[key] = value
        elif isinstance(value, Mapping) and isinstance(saved[key], Mapping) and value:
            tree[key] = _filled(saved[key], value)
    return tree

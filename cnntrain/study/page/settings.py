"""A run's configuration, and what of it differs from the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnntrain.config import since
from cnntrain.config.search_path import looking
from cnntrain.core.errors import UserError
from cnntrain.core.keys import flat
from cnntrain.core.words import printable
from cnntrain.runs.history import text
from cnntrain.study.comparison import short

MOST = 2000  # keys
CHOICES = ("model", "data", "task", "augment", "optim", "schedule", "transfer")
PLACES = ("name", "output", "resume")  # say nothing of what was trained


@dataclass(frozen=True)
class Settings:
    """Attributes:
    choices: of each group what was chosen, as it is typed.
    changed: keys that differ from the defaults of these choices: key, default, value.
    every: all keys with their values.
    notes: why it is not known what differs.
    """

    choices: list[str]
    changed: list[tuple[str, str, str]]
    every: list[tuple[str, str]]
    notes: list[str]


def settings(tree: Mapping[str, Any]) -> Settings:
    values = flat(tree)
    choices = [f"{key}={text(values[f'{key}.name'])}" for key in CHOICES if f"{key}.name" in values]
    every = [(key, printable(text(value))) for key, value in values.items()][:MOST]
    try:
        with looking():
            defaults = flat(since.defaults(tree))
    except UserError as error:
        return Settings(choices, [], every, [f"what differs from the defaults is not known: {error}"])
    named = {f"{key}.name" for key in CHOICES}
    changed = [
        (short(key), text(defaults[key]) if key in defaults else "none", printable(text(value)))
        for key, value in values.items()
        if key not in named and key not in PLACES and (key not in defaults or defaults[key] != value)
    ]
    return Settings(choices, changed[:MOST], every, [])

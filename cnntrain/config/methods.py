"""A method of ``cnntrain explain`` by its name, for Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnntrain.config import compose
from cnntrain.config.check import plain, section
from cnntrain.config.method import Method
from cnntrain.config.search_path import looking
from cnntrain.core.errors import ConfigError


@dataclass(frozen=True)
class _Chosen:
    method: Method


def method(name: str, keys: Mapping[str, Any]) -> Method:
    """The method with its YAML's values, but for those that are given.

    Raises:
        ConfigError: there is no such method, or it has no such key.
    """
    with looking():
        parsed = compose.parse([f"method={name}"])
        if problems := compose.choice_problems(parsed):
            raise ConfigError(*problems)
        tree = plain(compose.compose_config("explain", compose.force(parsed)))["method"]
        return section({"method": {**tree, **keys}}, _Chosen, "").method

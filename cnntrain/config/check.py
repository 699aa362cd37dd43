"""From overrides to a checked configuration: Hydra composes, then every key is held against the schema.

Hydra alone would let ``+optim.lrr=1`` through and advise it for ``optim.lrr=1``. Here every value override is forced
into the composed tree (``++``) and the whole tree, YAML and overrides alike, is then walked along the dataclasses, so
that all that is wrong is reported at once, each with the nearest valid name.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from math import isfinite
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Lt
from omegaconf import BooleanNode, DictConfig, FloatNode, IntegerNode, ListConfig, OmegaConf, StringNode
from omegaconf.errors import OmegaConfBaseException

from cnntrain.config.groups import ALL_PLUGINS, plugin_class, plugin_names
from cnntrain.config.schema import Command
from cnntrain.config.search_path import is_model, model_names
from cnntrain.core.errors import ConfigError, first_line
from cnntrain.core.limits import Home
from cnntrain.core.shapes import hints
from cnntrain.core.words import LINE, is_text, printable, similar, suggest

LIMITS: dict[type, tuple[str, str, Callable[[Any, Any], bool]]] = {
    Ge: ("at least", "ge", operator.ge),
    Gt: ("above", "gt", operator.gt),
    Le: ("at most", "le", operator.le),
    Lt: ("below", "lt", operator.lt),
}
SWITCHES = {False: "off", True: "on"}  # as which YAML reads the words
SCALARS: dict[type, Callable[..., Any]] = {int: IntegerNode, float: FloatNode, bool: BooleanNode, str: StringNode}

T = TypeVar("T")
C = TypeVar("C", bound=Command)


class Problems:
    """What is wrong, each with where it comes from.

    Args:
        origin: what a message on a key ends with, such as the file that sets it.
    """

    def __init__(self, origin: Callable[[str], str]):
        self.found: list[str] = []
        self.origin = origin

    def add(self, key: str, message: str) -> None:
        self.found.append(printable(f"{message}{self.origin(key)}", LINE))


def _nowhere(key: str) -> str:
    return ""


def check(tree: Mapping[str, Any], schema: type[C], origin: Callable[[str], str] = _nowhere) -> C:
    """Turn a composed, resolved tree of plain values into the schema's dataclasses.

    Args:
        origin: what a message on a key ends with, such as the file that sets it.

    Raises:
        ConfigError: lists every unknown or missing key, every value of a wrong type or outside its limits.
    """
    try:
        return section(tree, schema, "", origin).settled()
    except ValueError as error:
        raise ConfigError(str(error)) from error


def section(tree: Mapping[str, Any], schema: type[T], path: str, origin: Callable[[str], str] = _nowhere) -> T:
    """Turn the part of a tree at `path` into its dataclass.

    Raises:
        ConfigError: lists everything that is wrong.
    """
    problems = Problems(origin)
    result = _section(schema, tree, f"{path}." if path else "", problems)
    if problems.found or result is None:
        raise ConfigError(*problems.found)
    return result


def plain(config: DictConfig) -> dict[str, Any]:
    """The composed config as plain dicts, lists and scalars, interpolations resolved.

    Raises:
        ConfigError: an interpolation names what does not exist.
    """
    try:
        tree = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {first_line(error)}") from error
    assert isinstance(tree, dict)
    return {str(key): value for key, value in tree.items()}


def _section(schema: type[T], node: Any, path: str, problems: Problems) -> T | None:
    """One dataclass from its part of the tree, or None when `problems` grew."""
    if not isinstance(node, Mapping):
        problems.add(path[:-1], f"{path[:-1] or 'the config'} must be a group of keys, not {node!r}")
        return None
    before = len(problems.found)
    names = _names(schema)
    for key in node:
        if key not in names:
            problems.add(f"{path}{key}", f"unknown key '{path}{key}'{_hint(str(key), path, names)}")
    values = {}
    kinds = hints(schema)
    for each in fields(schema):  # type: ignore[arg-type]
        if each.name not in node or node[each.name] == "???":
            key = f"{path}{each.name}"
            problems.add(key, f"missing key '{key}': give it a value, or inherit one with a defaults list")
        else:
            values[each.name] = _value(kinds[each.name], node[each.name], f"{path}{each.name}", problems)
    if len(problems.found) > before:
        return None
    try:
        return schema(**values)
    except ValueError as error:
        problems.add(path[:-1], f"{path}{error}")
        return None


def _hint(key: str, path: str, names: Sequence[str]) -> str:
    """What may have been meant by an unknown key: one near it, one of another choice of the group, or any of these."""
    group = path[:-1]
    near = suggest(key, similar(key, names), path)
    others = (
        [name for name in plugin_names(group) if key in _names(plugin_class(group, name))]
        if group in ALL_PLUGINS
        else []
    )
    if others and not near:
        return f": it belongs to {' or '.join(f'{group}={name}' for name in others)}"
    return near or f"; {group or 'top level'} has {', '.join(names)}"


def _names(schema: Any) -> list[str]:
    return [each.name for each in fields(schema)]


def _value(kind: Any, value: Any, path: str, problems: Problems) -> Any:
    kinds = list(get_args(kind)) if get_origin(kind) in (Union, UnionType) else [kind]
    optional = type(None) in kinds
    if optional and value is None:
        return None
    words, bare = _words([each for each in kinds if each is not type(None)])
    if isinstance(value, str) and value in words:
        return value
    if bare in ALL_PLUGINS.values():
        subclass = _plugin(path, value, problems)
        return subclass and _section(subclass, value, f"{path}.", problems)
    if is_dataclass(bare):
        return _section(bare, value, f"{path}.", problems)  # type: ignore[arg-type]
    or_null = (f", or {' or '.join(words)}" if words else "") + (" or null" if optional else "")
    if get_origin(bare) is Literal:
        return _option(get_args(bare), value, path, problems, or_null)
    if get_origin(bare) is list and get_origin(get_args(bare)[0]) is Literal:
        given, option = value if isinstance(value, list) else [value], get_args(bare)[0]
        return [_value(option, each, f"{path}[{number}]", problems) for number, each in enumerate(given)]
    leaf = _leaf(bare, value, path, problems, or_null)
    if path == "model.name" and leaf is not None and not is_model(str(leaf)):
        problems.add(path, f"model.name={leaf} is no model{suggest(str(leaf), model_names())}")
    return leaf


def _option(options: Sequence[str | int], value: Any, path: str, problems: Problems, or_null: str) -> Any:
    """One of some words, or of some numbers."""
    if isinstance(value, bool) and (switch := SWITCHES[value]) in options:
        return switch
    names = {str(each): each for each in options}
    found = names.get(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if found is None:
        hint = suggest(str(value), list(names))
        problems.add(path, f"{path}={_show(value)} must be one of {', '.join(names)}{or_null}{hint}")
    return found


def _words(kinds: list[Any]) -> tuple[tuple[str, ...], Any]:
    """Of ``Literal["a", "b"] | list[int]`` the words and the other type; of one type no words and that."""
    words = [each for each in kinds if get_origin(each) is Literal] if len(kinds) > 1 else []
    return tuple(word for each in words for word in get_args(each)), next(each for each in kinds if each not in words)


def _leaf(kind: Any, value: Any, path: str, problems: Problems, or_null: str) -> Any:
    """`value` converted as OmegaConf converts a typed field: "3" is an int, 1 is a float, 1.5 is no int."""
    bare, limits = _limited(kind)
    container = get_origin(bare)
    if container is list and _limited(get_args(bare)[0])[0] is str and isinstance(value, str):
        value = [value]  # one name needs no brackets
    parts = value if container is list and isinstance(value, list) else [value]
    try:
        if bare is not str and container is not dict and any(_unresolved(each) for each in parts):
            raise OmegaConfBaseException()  # a typed node would keep such text as it is
        if container is list:
            element, limits = _limited(get_args(bare)[0])
            node: Any = ListConfig(value, element_type=element) if isinstance(value, list) else None
        elif container is dict:
            node = DictConfig(value) if isinstance(value, dict) else None
        else:
            node = SCALARS[bare](value=value, is_optional=False)
        if node is None:
            raise OmegaConfBaseException()
        found = OmegaConf.to_container(node) if container else node._value()
        if _is_place(kind):
            found = os.path.expanduser(str(found))
        elif container is list and _is_place(get_args(bare)[0]):
            found = [os.path.expanduser(str(each)) for each in _each(found)]
        if not _is_sound(found) or not all(_keeps(limit, each) for limit in limits for each in _each(found)):
            raise OmegaConfBaseException()
        return found
    except (OmegaConfBaseException, OverflowError):
        problems.add(path, f"{path}={_show(value)} must be {_describe(kind)}{or_null}")
        return None


def _limited(kind: Any) -> tuple[Any, list[Any]]:
    """The type of an ``Annotated[type, limits]``, and the limits; none of another type."""
    if get_origin(kind) is not Annotated:
        return kind, []
    bare, *limits = get_args(kind)
    limits = [each for each in limits if not isinstance(each, Home)]
    return bare, [each for limit in limits for each in (limit if isinstance(limit, Interval) else (limit,))]


def _is_place(kind: Any) -> bool:
    return any(isinstance(each, Home) for each in getattr(kind, "__metadata__", ()))


def _keeps(limit: Any, value: Any) -> bool:
    _, attribute, compare = LIMITS[type(limit)]
    return compare(value, getattr(limit, attribute))


def _each(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def _is_sound(value: Any) -> bool:
    """Whether `value` is no nan, is not infinite and can be written as UTF-8, and so is all that is in it."""
    if isinstance(value, list | dict):
        return all(_is_sound(each) for each in (value if isinstance(value, list) else [*value.keys(), *value.values()]))
    if isinstance(value, str):
        return is_text(value)
    return not isinstance(value, float) or isfinite(value)


def _unresolved(value: Any) -> bool:
    """Whether OmegaConf takes `value` for an interpolation or for a missing value, of any type."""
    return isinstance(value, str) and ("${" in value or value == "???")


def _show(value: Any) -> str:
    return "null" if value is None else printable(str(value))


def _describe(kind: Any) -> str:
    bare, limits = _limited(kind)
    if get_origin(bare) is list:
        return f"a list whose items are each {_describe(get_args(bare)[0])}"
    if get_origin(bare) is dict:
        return "a group of keys"
    words = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}[bare]
    bounds = [f"{LIMITS[type(each)][0]} {getattr(each, LIMITS[type(each)][1]):g}" for each in limits]
    return " ".join([words, " and ".join(bounds)]).rstrip()


def _plugin(group: str, node: Any, problems: Problems) -> type | None:
    """The subclass that ``<group>.name`` chooses, or ``<group>.source`` of what has a name of its own."""
    key = "source" if isinstance(node, Mapping) and node.get("source") is not None else "name"
    name = node.get(key) if isinstance(node, Mapping) else None
    if not isinstance(name, str) or name == "???":
        names = ", ".join(plugin_names(group))
        problems.add(f"{group}.{key}", f"missing key '{group}.{key}': choose one with {group}=<name>: {names}")
        return None
    if name not in plugin_names(group):
        problems.add(
            f"{group}.{key}",
            f"{group}.{key}={name} must be one of {', '.join(plugin_names(group))}{suggest(name, plugin_names(group))}",
        )
        return None
    return plugin_class(group, name)

"""What is typed for a key that takes text is that text, whatever Hydra's grammar would make of it.

To Hydra ``1e3`` is a number, ``true`` is no word, and ``a=b``, ``a(1)`` or an accent is an error. A folder, a class or
a name may be called so: where the key's type is text, such a value is quoted before Hydra reads it. What the grammar
has for text stays: quotes, ``null``, ``${...}``, and commas and functions of a sweep; but conditions such as
``data=digits,seed=0`` are one text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString, ValueType
from hydra.errors import HydraException

from cnntrain.config.groups import ALL_PLUGINS, command_class, plugin_class, plugin_names
from cnntrain.core.shapes import hints

OPENING, CLOSING, QUOTES = "[{(", "]})", "'\""
PARSER = OverridesParser.create()  # which takes a millisecond, and more than most overrides
FUNCTIONS = (ValueType.CHOICE_SWEEP, ValueType.GLOB_CHOICE_SWEEP, ValueType.RANGE_SWEEP, ValueType.INTERVAL_SWEEP)


def as_text(command: str, overrides: Sequence[str]) -> list[str]:
    """The overrides, with the values of a command's keys of text quoted where Hydra would not read them as they are."""
    return [_as_text(command, each) for each in overrides]


def quoted(value: str) -> str:
    """A value that Hydra's grammar takes as this text, whatever is in it."""
    return QuotedString(value, Quote.double).with_quotes()


def takes_text(command: str, key: str) -> bool:
    """Whether a command's key is one of text."""
    return _kinds(command, key) in ({str}, {list[str]})


def _as_text(command: str, override: str) -> str:
    key, _, value = override.partition("=")
    if key.startswith("~") or not value:
        return override
    found = _parsed(override)
    if found is not None and (found.value_type in FUNCTIONS or isinstance(found.value(), str | None)):
        return override  # the usual case, for which no schema is looked at
    kinds = _kinds(command, key.lstrip("+"))
    if kinds == {str}:
        parts = _parts(value)
        is_conditions = len(parts) > 1 and all("=" in each for each in parts)
        return f"{key}={_word(value) if is_conditions else ','.join(map(_word, parts))}"
    if kinds == {list[str]}:
        return f"{key}={','.join(map(_words, _parts(value)))}"
    return override


def _word(text: str) -> str:
    """A value of a key of text."""
    found = _parsed(f"key={text}")
    is_wrong = text[:1] in QUOTES if found is None else isinstance(found.value(), str | None | list | dict)
    return text if is_wrong or not text else quoted(text)


def _words(text: str) -> str:
    """A value of a key that takes a list of texts."""
    if not (text.startswith("[") and text.endswith("]")):
        return _word(text)
    return f"[{','.join(quoted(each) if each == 'null' else _word(each) for each in _parts(text[1:-1]))}]"


def _parts(text: str) -> list[str]:
    """What is between the commas that are in no brackets and no quotes."""
    parts, depth, quote, before = [""], 0, "", ""
    for each in text:
        if quote:
            quote = "" if each == quote and before != "\\" else quote
        elif each in QUOTES and not parts[-1].strip():  # elsewhere it is an apostrophe
            quote = each
        depth += (each in OPENING) - (each in CLOSING) if not quote else 0
        if each == "," and not quote and depth <= 0 and before != "\\":
            parts.append("")
        else:
            parts[-1] += each
        before = each
    return [each.strip() for each in parts]


def _parsed(override: str) -> Override | None:
    try:
        return PARSER.parse_override(override)
    except HydraException:
        return None


def _kinds(command: str, key: str) -> set[Any]:
    """The types that a dotted key has, without null and limits; of a group's key all that its choices give it."""
    kinds: set[Any] = {command_class(command)}
    for name in key.split("."):
        found = [hints(kind) for kind in kinds if is_dataclass(kind)]
        kinds = {kind for each in found if name in each for kind in _choices(name, _bare(each[name]))}
    return kinds


def _bare(kind: Any) -> Any:
    if get_origin(kind) in (Union, UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    if get_origin(kind) is list:
        return list[_bare(get_args(kind)[0])]  # type: ignore[misc]
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _choices(name: str, kind: Any) -> Iterator[Any]:
    """The classes behind a group, and behind a section of another command that is laid over one; else the type."""
    if kind in ALL_PLUGINS.values() or (name in ALL_PLUGINS and get_origin(kind) is dict):
        yield from (plugin_class(name, each) for each in plugin_names(name))
    else:
        yield kind

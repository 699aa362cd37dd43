"""``--help``: what a command's own YAML says of it, its comments being the text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from inspect import getsourcefile
from pathlib import Path

from cnntrain.config.groups import command_class, command_names
from cnntrain.config.search_path import folders, groups
from cnntrain.core.errors import ConfigError

WIDTH, INDENT = 110, 18
KEY = re.compile(r"^(?P<indent> *)(?P<key>\w+):(?: +(?P<value>[^#\s].*?))?(?: +# (?P<comment>.*))?$")
INCLUDED = re.compile(r"^  - (\w+)$")  # a YAML whose keys a command's own has too
DEFAULT_COMMAND = "train"
MODEL_ABSTRACT = "timm"  # the YAML that the other models inherit


def root(command: str) -> Path:
    """The YAML of a command, which carries its name.

    Raises:
        ConfigError: there is none, as where a user's own command lacks it.
    """
    file = _root(command)
    if file is None:
        code = getsourcefile(command_class(command))
        looked = ", ".join(map(str, folders()))
        raise ConfigError(
            f"the command {command} of {code} has no {command}.yaml: put one into configs/ beside that file; "
            f"looked in {looked}"
        )
    return file


def _root(command: str) -> Path | None:
    return next((file for folder in folders()[::-1] if (file := folder / f"{command}.yaml").is_file()), None)


def text(command: str) -> str:
    """What ``--help`` prints.

    The comment on top of the command's YAML, a line a key with its value and its comment, and the comment at the end.
    """
    top, body, closing = _parts(command)
    keys = dict(_keys(body))
    for other in [found[1] for line in body if (found := INCLUDED.match(line)) and found[1] in command_names()]:
        keys |= dict(_keys(_parts(other)[1]))
    shown = ["\n".join(top)]
    if command == DEFAULT_COMMAND:
        shown.append(_section("commands", {name: _first_line(name) for name in command_names()}))
        shown.append(_section("groups and their options", {group: _options(group) for group in groups()}))
    if keys:
        shown.append(_section("keys", keys))
    return "\n\n".join([*shown, "\n".join(closing)])


def _parts(command: str) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    """Of a command's YAML the comment on top, what is between, and the comment at the end."""
    top, rest = _comment(root(command).read_text(encoding="utf-8").splitlines())
    closing, body = _comment(rest[::-1])
    return top, body[::-1], closing[::-1]


def _comment(lines: Sequence[str]) -> tuple[list[str], Sequence[str]]:
    """The comment that `lines` begin with, without its marks, and the rest."""
    count = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return [line.removeprefix("#").removeprefix(" ") for line in lines[:count]], lines[count:]


def _first_line(command: str) -> str:
    """What a command does; of one without a YAML that it lacks it, which must not take the others' help away."""
    path = _root(command)
    if path is None:
        return f"(has no {command}.yaml)"
    with open(path, encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()


def _keys(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each key with its value, and its comment; those of a section by their dotted names."""
    section = ""
    for line in lines:
        found = KEY.match(line)
        if found is None or found["key"] == "defaults":
            continue
        key, value, comment = found["key"], found["value"], found["comment"] or ""
        section = section if found["indent"] else ""
        if value:
            yield f"{section}{key}={value}", comment
        elif not found["indent"]:
            section = f"{key}."


def _options(group: str) -> str:
    """The options of a group; of the many models their families."""
    names = groups()[group]
    if group != "model":
        return ", ".join(names)
    families: dict[str, list[str]] = {}
    for name in (each for each in names if each != MODEL_ABSTRACT):
        families.setdefault(re.split(r"\d", name)[0], []).append(name)
    shown = [f"{stem}*" if len(each) > 1 else each[0] for stem, each in families.items()]
    return f"{', '.join(shown)}; cnntrain models tells them all; and every name of timm's registry"


def _section(title: str, entries: Mapping[str, str]) -> str:
    indent = max(INDENT, 3 + max(map(len, entries)))
    lines = [
        textwrap.fill(about, WIDTH, initial_indent=f"  {name:<{indent - 3}} ", subsequent_indent=" " * indent)
        if about
        else f"  {name}"
        for name, about in entries.items()
    ]
    return "\n".join([title, *lines])

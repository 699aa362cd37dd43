"""The words of a command line, sorted: Hydra's flags, our own, and what they are about."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from hydra._internal.utils import get_args_parser

from cnntrain.config.groups import command_class, command_names, known_keys
from cnntrain.config.search_path import groups
from cnntrain.config.text import quoted
from cnntrain.core.errors import ConfigError
from cnntrain.core.words import is_text, nearest, suggest

VALUE_FLAGS = ("--config-dir", "-cd", "--cfg", "-c", "--package", "-p", "--info", "-i")
REFUSED = {
    "--experimental-rerun": "it unpickles its file, which can run code; cnntrain resume=<run folder> continues a run",
    "--config-name": "the command is the config's name: cnntrain <command>",
    "-cn": "the command is the config's name: cnntrain <command>",
    "--config-path": "--config-dir adds a folder of your own",
    "-cp": "--config-dir adds a folder of your own",
}


@dataclass
class Line:
    """A command line: Hydra's flags with their values, our own, and the words.

    Attributes:
        words: a command and overrides.
        imports: files and modules of the user's own.
    """

    flags: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    config_dir: str | None = None

    @property
    def asks_help(self) -> bool:
        """Whether it is answered whatever is wrong with an installed package of the user's."""
        return bool({"--help", "-h"} & {*self.flags})

    @classmethod
    def read(cls, argv: Sequence[str]) -> Line:
        """Raises ConfigError where a flag is unknown, or one that cnntrain does not offer."""
        known = {option for action in get_args_parser()._actions for option in action.option_strings}
        line = cls()
        words = deque(argv)
        while words:
            word = words.popleft()
            if not is_text(word):
                raise ConfigError(f"{word.encode(errors='surrogateescape')!r} is not UTF-8 text")
            name, _, value = word.partition("=")
            if not word.startswith("-"):
                line.words.append(word)
            elif name == "--import":
                line.imports.append(value or _next(words, "--import", "a file or a module"))
            elif name in ("--config-dir", "-cd"):
                line.config_dir = value or _next(words, name, "a folder")
            elif name in REFUSED:
                raise ConfigError(f"{name} is not offered: {REFUSED[name]}")
            elif name not in known:
                raise ConfigError(f"unknown option '{word}'{_as_override(name, word, words)}")
            else:
                line.flags.append(word)
                if name in VALUE_FLAGS and not value and words and not _is_word(words[0]):
                    line.flags.append(words.popleft())
        return line


def _next(words: deque[str], flag: str, what: str) -> str:
    if not words:
        raise ConfigError(f"{flag} needs {what}")
    return words.popleft()


def _is_word(text: str) -> bool:
    """Whether this is a command or an override, which --info, with its optional value, must not take for its own."""
    return "=" in text or text in command_names()


def _as_override(flag: str, word: str, words: Sequence[str]) -> str:
    """How an option in the style of other tools is written here: ``--epochs 3`` is ``trainer.epochs=3``."""
    key = flag.lstrip("-").replace("-", "_")
    last = {key.rsplit(".", 1)[-1]: key for key in known_keys()}
    near = nearest(key, last)
    value = word.partition("=")[2] or (words[0] if words else "...")
    return f"; keys are written key=value: {last[near]}={value}" if near else "; see cnntrain --help"


def command_of(words: Sequence[str]) -> tuple[str, list[str]]:
    """The command, which is the first word that is no override (train where there is none), and the overrides.

    Words behind the command are the values of the keys that it takes without their names.
    """
    names = command_names()
    overrides = [word for word in words if "=" in word or word.startswith("~")]
    command, *values = [word for word in words if word not in overrides] or ["train"]
    if command not in names:
        hint = suggest(command, names) or _as_choice(command)
        raise ConfigError(f"'{command}' is neither a command ({', '.join(names)}) nor key=value{hint}")
    keys = command_class(command).words if values else ()
    for word in values[len(keys) :]:
        if word in names:
            raise ConfigError(f"one command at a time, not {command} and {word}")
        raise ConfigError(f"'{word}' is no key=value{_as_choice(word)}; see cnntrain {command} --help")
    return command, [*(f"{key}={quoted(value)}" for key, value in zip(keys, values)), *overrides]  # noqa: B905


def _as_choice(word: str) -> str:
    """The group that has an option of this name."""
    found = [f"{group}={word}" for group, options in groups().items() if word in options]
    return f"; did you mean {' or '.join(found)}?" if found else ""

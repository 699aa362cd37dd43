"""A user's own code: what ``--import`` named, and what installed packages offer.

It is a flag, never a key of a configuration: nothing that is loaded can name code. A run remembers that it needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from importlib.metadata import EntryPoint, entry_points
from inspect import getmro
from pathlib import Path
from types import ModuleType
from typing import Any

from cnntrain.config import loading
from cnntrain.config.schema import TrainConfig
from cnntrain.core.errors import ConfigError
from cnntrain.core.keys import is_within, within
from cnntrain.models import registry

ENTRY_POINTS = "cnntrain"  # the group by which an installed package offers its modules

_imported: tuple[Imported, ...] = ()


@dataclass(frozen=True)
class Imported:
    """A module of the user's.

    Attributes:
        word: what was given to ``--import``; a file's path is absolute.
        module: the name that it has in Python.
        sha256: of its source and of those beside it that it imports; in a package of all the package's sources.
        asked: it was given, rather than offered by an installed package.
    """

    word: str
    module: str
    sha256: str
    asked: bool


@contextmanager
def imported(words: Sequence[str], broken: Callable[[str], None] | None = None) -> Iterator[None]:
    """Within the block the classes of these modules, and of what installed packages offer, can be chosen.

    Args:
        words: files, or names of modules.
        broken: is told what is wrong with an installed package, which is then left out; None: it is raised.

    A file that has changed since this process executed it is executed anew, with all of the user's files.

    Raises:
        ConfigError: there is no such file or module, it fails while it is imported, or an installed one has changed.
    """
    global _imported
    before = _imported
    with loading.folders_on_path(words):
        files = loading.files(words)
        loading.renew(files)
        try:
            _imported = tuple(_loaded(words, broken))
        except BaseException:
            loading.forget(files)  # half a module may have registered its networks
            raise
        try:
            yield
        finally:
            _imported = before


def _loaded(words: Sequence[str], broken: Callable[[str], None] | None) -> list[Imported]:
    loaded = {word: _load(word, f"--import {word}", "", loading.is_file(word)) for word in words}
    for each in entry_points(group=ENTRY_POINTS):
        try:
            offered = _offered(each)
        except ConfigError as error:
            if broken is None:
                raise
            broken(str(error))
        else:
            loaded[offered.word] = offered
    return list(loaded.values())


def present() -> tuple[Imported, ...]:
    """What is imported now."""
    return _imported


def modules() -> list[ModuleType]:
    """The modules of the user's, and the ones that are in his packages and have been imported."""
    if not _imported:  # most often; a process has thousands of modules, and this is asked hundreds of times
        return []
    is_theirs = within(each.module for each in _imported)
    return [module for name, module in list(sys.modules.items()) if is_theirs(name)]


def config_dirs() -> list[Path]:
    """The folders ``configs`` beside the user's modules."""
    found = []
    for each in _imported:
        file = sys.modules[each.module].__file__
        if file is not None and (folder := Path(file).parent / "configs").is_dir():
            found.append(folder)
    return found


def remembered(config: TrainConfig) -> list[dict[str, Any]]:
    """What a run of this configuration keeps of it: plain values.

    It needs the modules that define what was chosen: its network, its plugins, its command. What else was given may do
    something of its own, and is noted; what else happens to be installed has nothing to do with the run.
    """
    defining = _defining(config)
    needed = {each: any(is_within(name, [each.module]) for name in defining) for each in _imported}
    return [
        {"word": each.word, "module": each.module, "sha256": each.sha256, "needed": needed[each]}
        for each in _imported
        if needed[each] or each.asked
    ]


def _defining(config: TrainConfig) -> set[str]:
    """The modules of the classes that a configuration consists of, what they inherit included, and of its network."""
    parts: list[Any] = [config, *(getattr(config, each.name) for each in fields(config))]
    names = {kind.__module__ for part in parts if is_dataclass(part) for kind in getmro(type(part))}
    return names | {registry.defined_in(config.model.name)}


def check(needed: Sequence[Mapping[str, Any]], what: str) -> list[str]:
    """Hold what a run remembers against what is imported.

    Args:
        needed: what `remembered` gave when the run was made.
        what: the run, for people.

    Returns:
        Lines on modules that have changed since, or that are not there and may be wanted.

    Raises:
        ConfigError: something that it needs is missing.
    """
    now = {each.module: each for each in _imported}
    absent = [each for each in needed if each["module"] not in now]
    missing = [str(each["word"]) for each in absent if each["needed"]]
    if missing:
        flags = " ".join(f"--import {each}" for each in missing)
        raise ConfigError(f"{what} was made with code of your own: give {flags} again")
    changed = [each["module"] for each in needed if each not in absent and now[each["module"]].sha256 != each["sha256"]]
    return [
        *(f"note: {each['word']} was imported when {what} was made, and is not now" for each in absent),
        *(f"note: {each} is not the same code as when {what} was made" for each in changed),
    ]


def _offered(offer: EntryPoint) -> Imported:
    """What an installed package offers; its entry point may name something in the module, which is imported whole.

    Raises:
        ConfigError: it names no module, or the module fails while it is imported.
    """
    package = f"the installed package {offer.dist.name}" if offer.dist is not None else "an installed package"
    origin, advice = f"the entry point {offer.name} = {offer.value} of {package}", "; mend or uninstall the package"
    try:
        module = offer.module
    except (AttributeError, ValueError) as error:  # older and newer Pythons' words for text that is none
        raise ConfigError(f"{origin} names no module{advice}") from error
    return _load(module, origin, advice, is_file=False)


def _load(word: str, origin: str, advice: str, is_file: bool) -> Imported:
    """Import a file or a module.

    Args:
        origin: what asks for it, and `advice` what to do where it fails, for people.

    Raises:
        ConfigError: there is none, it fails, or an installed one has changed.
    """
    path = loading.path_of(word)
    try:
        module, digest = loading.load_file(path) if is_file else loading.load_module(word)
    except ConfigError:
        raise
    except ModuleNotFoundError as error:
        if error.name == word.split(".")[0]:
            raise ConfigError(f"{origin}: there is no such module{advice or '; a file ends in .py'}") from error
        raise ConfigError(f"{origin} fails: {error}{advice}") from error
    except (Exception, SystemExit) as error:  # whatever the user's code raises, a script's own exit too
        raise ConfigError(f"{origin} fails: {type(error).__name__}: {error}{advice}") from error
    return Imported(str(path) if is_file else word, module.__name__, digest, asked=not advice)


def model_names() -> frozenset[str]:
    """The networks that the user's modules have put into timm's registry."""
    if not _imported or "timm" not in sys.modules:
        return frozenset()
    from timm.models import list_models, model_entrypoint

    mine = [each.__name__ for each in modules()]
    return frozenset(name for name in list_models() if model_entrypoint(name).__module__ in mine)

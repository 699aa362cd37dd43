"""A user's own code: what ``--import`` named, and what installed packages offer.

It is a flag, never a key of a configuration: nothing that is loaded can name code. A run remembers that it needs it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from cnntrain.config import sources
from cnntrain.core.errors import ConfigError
from cnntrain.models import registry

ENTRY_POINTS = "cnntrain"  # the group by which an installed package offers its modules

_imported: tuple[Imported, ...] = ()
_executed: dict[Path, str] = {}  # the user's files that this process has loaded, with digests of what it executed
_packages: dict[ModuleType, str] = {}  # modules given by name, with their packages' digests when first seen


@dataclass(frozen=True)
class Imported:
    """A module of the user's.

    Attributes:
        word: what was given to ``--import``; a file's path is absolute.
        module: the name that it has in Python.
        sha256: of its source and of those beside it that it imports; in a package of all the package's sources.
    """

    word: str
    module: str
    sha256: str


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
    with _folders_on_path(words):
        files = _files(words)
        _renew(files)
        try:
            _imported = tuple(_loaded(words, broken))
        except BaseException:
            _forget(files)  # half a module may have registered its networks
            raise
        try:
            yield
        finally:
            _imported = before


@contextmanager
def _folders_on_path(words: Sequence[str]) -> Iterator[None]:
    """Within the block a file imports those beside it, at its top and in its functions, as a script does."""
    folders = list(dict.fromkeys(str(_path(each).parent) for each in words if _is_file(each)))
    sys.path[:0] = folders
    try:
        yield
    finally:
        for each in folders:
            if each in sys.path:  # the user's code may have changed it
                sys.path.remove(each)


def _files(words: Sequence[str]) -> dict[str, Path]:
    """The files given and those beside them that they import, by their names in Python.

    Raises:
        ConfigError: a file is not there, or another module has its name.
    """
    found: dict[str, Path] = {}
    for word in filter(_is_file, words):
        if not _path(word).is_file():
            raise ConfigError(f"--import {word}: there is no such file")
        for name, path in sources.beside(_path(word)).items():
            taken = found.get(name) or getattr(sys.modules.get(name), "__file__", None)
            if taken is not None and os.path.realpath(taken) != os.path.realpath(path):
                raise ConfigError(f"--import {word}: there is a module {name} already, {taken}: rename {path}")
            found[name] = path
    return found


def _renew(files: Mapping[str, Path]) -> None:
    """Where a loaded file differs from what was executed, unload them all: classes of two readings do not mix."""
    now = {path: sources.digest({"": path}) for path in files.values()}
    if any(name in sys.modules and _executed.get(path) != now[path] for name, path in files.items()):
        _forget(files)
    _executed.update(now)


def _forget(files: Mapping[str, Path]) -> None:
    """Unload these modules, so that nothing of them is found any more."""
    for name, path in files.items():
        sys.modules.pop(name, None)
        folder, _, last = name.rpartition(".")
        if folder in sys.modules:  # one without __init__.py stays, and must not offer it either
            vars(sys.modules[folder]).pop(last, None)
        with suppress(OSError):  # nobody can have written bytecode where this fails
            # Python holds it against the source's time in whole seconds, in which two versions may have been saved
            Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
    registry.forget(files.keys())
    importlib.invalidate_caches()


def _loaded(words: Sequence[str], broken: Callable[[str], None] | None) -> list[Imported]:
    loaded = {word: _load(word, f"--import {word}", "", _is_file(word)) for word in words}
    for each in entry_points(group=ENTRY_POINTS):
        try:
            offered = _offered(each)
        except ConfigError as error:
            if broken is None:
                raise
            broken(str(error))
        else:
            loaded.setdefault(offered.word, offered)
    return list(loaded.values())


def _is_file(word: str) -> bool:
    return word.endswith(".py") or "/" in word


def _path(word: str) -> Path:
    return Path(os.path.abspath(Path(word).expanduser()))  # one name a file, however it is spelt


def present() -> tuple[Imported, ...]:
    """What is imported now."""
    return _imported


def modules() -> list[ModuleType]:
    """The modules of the user's, and the ones that are in his packages and have been imported."""
    names = [each.module for each in _imported]
    if not names:
        return []
    return [
        module
        for name, module in list(sys.modules.items())
        if any(name == each or name.startswith(f"{each}.") for each in names)
    ]


def config_dirs() -> list[Path]:
    """The folders ``configs`` beside the user's modules."""
    found = []
    for each in _imported:
        file = sys.modules[each.module].__file__
        if file is not None and (folder := Path(file).parent / "configs").is_dir():
            found.append(folder)
    return found


def remembered() -> list[dict[str, str]]:
    """What a run keeps of it: plain values."""
    return [asdict(each) for each in _imported]


def check(needed: Sequence[Mapping[str, Any]], what: str) -> list[str]:
    """Hold what a run needs against what is imported.

    Args:
        needed: what `remembered` gave when the run was made.
        what: the run, for people.

    Returns:
        Lines on modules that have changed since.

    Raises:
        ConfigError: something is missing.
    """
    now = {each.module: each for each in _imported}
    missing = [str(each["word"]) for each in needed if each["module"] not in now]
    if missing:
        flags = " ".join(f"--import {each}" for each in missing)
        raise ConfigError(f"{what} was made with code of your own: give {flags} again")
    changed = [each["module"] for each in needed if now[str(each["module"])].sha256 != each["sha256"]]
    return [f"note: {each} is not the same code as when {what} was made" for each in changed]


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
        ConfigError: there is none, or it fails.
    """
    path = _path(word)
    try:
        module = _from_file(path) if is_file else importlib.import_module(word)
    except ModuleNotFoundError as error:
        if error.name == word.split(".")[0]:
            raise ConfigError(f"{origin}: there is no such module{advice or '; a file ends in .py'}") from error
        raise ConfigError(f"{origin} fails: {error}{advice}") from error
    except (Exception, SystemExit) as error:  # whatever the user's code raises, a script's own exit too
        raise ConfigError(f"{origin} fails: {type(error).__name__}: {error}{advice}") from error
    digest = sources.digest(sources.beside(path) if is_file else sources.package(module, sys.modules))
    if not is_file and _packages.setdefault(module, digest) != digest:
        raise ConfigError(f"{origin} has changed since this process imported it: start Python anew")
    return Imported(str(path) if is_file else word, module.__name__, digest)


def _from_file(path: Path) -> ModuleType:
    """The module in a file, under the file's name."""
    if path.stem in sys.modules:  # it is this file, unchanged
        return sys.modules[path.stem]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def model_names() -> frozenset[str]:
    """The networks that the user's modules have put into timm's registry."""
    if not _imported or "timm" not in sys.modules:
        return frozenset()
    from timm.models import list_models, model_entrypoint

    mine = [each.__name__ for each in modules()]
    return frozenset(name for name in list_models() if model_entrypoint(name).__module__ in mine)

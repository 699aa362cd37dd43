"""Files and modules of a user's, executed: once in a process as long as they stay as they are."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from cnntrain.config import sources
from cnntrain.core.errors import ConfigError
from cnntrain.core.paths import expanded
from cnntrain.core.words import listed
from cnntrain.models import registry

_executed: dict[Path, str] = {}  # files that this process has loaded, with digests of what it executed
_packages: dict[ModuleType, str] = {}  # modules given by name, with their packages' digests when first seen


def is_file(word: str) -> bool:
    """Whether what is given to ``--import`` is meant as a file."""
    return word.endswith(".py") or "/" in word


def path_of(word: str) -> Path:
    return Path(os.path.abspath(expanded(word)))  # one name a file, however it is spelt


@contextmanager
def folders_on_path(words: Sequence[str]) -> Iterator[None]:
    """Within the block a file imports those beside it, at its top and in its functions, as a script does."""
    folders = list(dict.fromkeys(str(path_of(each).parent) for each in words if is_file(each)))
    sys.path[:0] = folders
    try:
        yield
    finally:
        for each in folders:
            if each in sys.path:  # the user's code may have changed it
                sys.path.remove(each)


def files(words: Sequence[str]) -> dict[str, Path]:
    """The files given and those beside them that they import, by their names in Python.

    Raises:
        ConfigError: a file is not there, another module has its name, or it gives a network a name that is taken.
    """
    found: dict[str, Path] = {}
    for word in filter(is_file, words):
        if not path_of(word).is_file():
            raise ConfigError(f"--import {word}: there is no such file")
        for name, path in sources.beside(path_of(word)).items():
            taken = found.get(name) or getattr(sys.modules.get(name), "__file__", None)
            if taken is not None and os.path.realpath(taken) != os.path.realpath(path):
                raise ConfigError(f"--import {word}: there is a module {name} already, {taken}: rename {path}")
            found[name] = path
    for path in found.values():
        names = registry.registered_in([path])
        clash = sorted(names & registry.names()) if names else []
        if clash:  # which of the two it would be depends on what is imported first
            raise ConfigError(f"{path} registers {listed(clash)}, as timm or cnntrain does: give it another name")
    return found


def renew(files: Mapping[str, Path]) -> None:
    """Where a loaded file differs from what was executed, unload them all: classes of two readings do not mix."""
    now = {path: sources.digest({"": path}) for path in files.values()}
    if any(name in sys.modules and _executed.get(path) != now[path] for name, path in files.items()):
        forget(files)
    _executed.update(now)


def forget(files: Mapping[str, Path]) -> None:
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


def load_file(path: Path) -> tuple[ModuleType, str]:
    """The module in a file, under the file's name, and the digest of its sources."""
    if path.stem not in sys.modules:  # else it is this file, unchanged
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    return sys.modules[path.stem], sources.digest(sources.beside(path))


def load_module(name: str) -> tuple[ModuleType, str]:
    """A module by its name, and the digest of its package's sources.

    Raises:
        ConfigError: they have changed since this process imported it. What else has imported parts of an installed
            package is not known, so it cannot be executed anew.
    """
    module = importlib.import_module(name)
    digest = sources.digest(sources.package(module, sys.modules))
    if _packages.setdefault(module, digest) != digest:
        raise ConfigError(f"{name} has changed since this process imported it: start Python anew")
    return module, digest

"""The files that a user's code consists of, by its import statements, and their digest. Nothing is executed here.

What is imported inside functions counts too, before it has been: so a digest is the same whenever it is taken.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

OURS = "cnntrain"  # where a user works in a checkout of it, it lies beside his files


def beside(file: Path) -> dict[str, Path]:
    """A file and those in its folder that it imports, directly or through others, by their names in Python.

    Names that are put together while it runs (``importlib.import_module("net" + number)``) are not seen.
    """
    root = file.parent
    found: dict[str, Path] = {}
    waiting: list[tuple[str, ...]] = [(file.stem,)]
    while waiting:
        parts = waiting.pop()
        path = _file(root, parts)
        if path is None or ".".join(parts) in found or parts[0] == OURS:
            continue
        found[".".join(parts)] = path
        package = parts if path.name == "__init__.py" else parts[:-1]
        waiting += [each[:end] for each in _imports(path, package) for end in range(1, len(each) + 1)]
    return found


def package(module: ModuleType, known: Mapping[str, ModuleType]) -> dict[str, Path]:
    """All files of the package that an imported module is in, or its own file where it is in none.

    Args:
        known: modules by name, its parents among them.
    """
    parts = module.__name__.split(".")
    parents = [known[".".join(parts[:end])] for end in range(1, len(parts) + 1)]
    file = next((each.__file__ for each in parents if each.__file__ is not None), None)  # a namespace has none
    if file is None:
        return {}
    path = Path(file)
    files = path.parent.rglob("*.py") if path.name == "__init__.py" else [path]
    return {each.relative_to(path.parent).as_posix(): each for each in files}


def digest(files: Mapping[str, Path]) -> str:
    """Hex sha256 over names and contents; empty where there are no files."""
    sha = hashlib.sha256()
    for name, path in sorted(files.items()):
        sha.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return sha.hexdigest() if files else ""


def _file(root: Path, parts: tuple[str, ...]) -> Path | None:
    """The source of a module below `root`, found as Python finds it: a package before a file."""
    place = root.joinpath(*parts)
    return next((each for each in (place / "__init__.py", place.with_name(f"{place.name}.py")) if each.is_file()), None)


def _imports(path: Path, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The dotted names that a file imports, in parts; of ``from x import y`` both x and x.y, which may be a module."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return  # importing it says what is wrong
    for each in ast.walk(tree):
        if isinstance(each, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in each.names)
        elif isinstance(each, ast.ImportFrom):
            above = package[: len(package) + 1 - each.level] if each.level else ()
            base = (*above, *(each.module.split(".") if each.module else ()))
            yield base
            yield from ((*base, alias.name) for alias in each.names)

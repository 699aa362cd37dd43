"""What there is to choose as ``model=``: every YAML with its paper and year, and the figures kept on disk.

Nothing here imports torch: a listing whose figures are on disk is a matter of reading files. `figures` computes them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

import yaml

from cnntrain.config import imports
from cnntrain.config.groups import PACKAGE
from cnntrain.config.search_path import folders
from cnntrain.core import plain_json
from cnntrain.core.paths import cache_home
from cnntrain.core.version import __version__
from cnntrain.models import registry

CITATION = re.compile(r"\(([^()]*?) ((?:19|20)\d\d)(?:, ([^();]*)[^()]*)?\)")
ABSTRACT = "timm"  # the YAML that the others inherit
FIGURING = ("config", "core", "data", "models", "study")  # the rooms from which `figures` imports
OWN = "own"  # the source of what is defined in the user's files
DECK_ERRORS = Path(registry.__file__).parent / "deck_errors.yaml"


class Figures(TypedDict):
    """What is computed of a network."""

    family: str
    task: str
    of: str
    params: int
    macs: int
    input: str
    depth: int
    source: str
    weights: bool


COMPUTED = tuple(Figures.__annotations__)


@dataclass(frozen=True)
class Entry:
    """A named network: its YAML and what the comment on top of it says."""

    name: str
    file: Path

    @property
    def comment(self) -> str:
        """The comment on top, its lines joined."""
        lines = []
        for line in self.file.read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                break
            lines.append(line.lstrip("# ").rstrip())
        return " ".join(lines)

    def described(self) -> dict[str, Any]:
        """``year``, ``paper`` and ``title``, from a comment such as "VGG (Simonyan and Zisserman 2014, arXiv:...)"."""
        comment = self.comment
        found = CITATION.search(comment)
        if found is None:
            return {"year": None, "paper": None, "title": comment or None}
        authors, year, where = found.groups()
        paper = f"{authors}, {where}" if where else authors
        return {"year": int(year), "paper": paper, "title": comment[: found.start()].strip() or None}


def entries() -> list[Entry]:
    """Every YAML of the model group, the user's before ours."""
    found: dict[str, Path] = {}
    for folder in folders():
        for file in (folder / "model").glob("*.yaml"):
            found.setdefault(file.stem, file)
    return [Entry(name, file) for name, file in sorted(found.items()) if name != ABSTRACT]


@cache
def deck_errors() -> Mapping[str, Mapping[str, Any]]:
    """ImageNet errors in percent by model: ``top1``, ``top5``, and ``of`` where they are not one network's."""
    return yaml.safe_load(DECK_ERRORS.read_text(encoding="utf-8"))


class Cache:
    """Figures by model in files whose names are digests of all that they depend on: one of the networks that come with
    us, and one of the user's own, so that an edit of his does not cost the figures of all.

    A file that is missing, damaged or does not hold what is needed counts as empty.
    """

    def __init__(self) -> None:
        own = [each.sha256 for each in imports.present()]
        self.path = cache_home() / f"models-{_digest([])[:16]}.json"
        self.own_path = cache_home() / f"models-{_digest(own)[:16]}.json"
        self.figures = {**_read(self.path), **_read(self.own_path)}

    def add(self, computed: Mapping[str, dict[str, Any]]) -> None:
        """Keep these figures too. A folder that cannot be written costs only the time to compute them again."""
        from cnntrain.core.errors import RunError
        from cnntrain.core.files import write_atomic

        self.figures = {**self.figures, **computed}
        for path, is_own in ((self.path, False), (self.own_path, True)):
            chosen = {name: each for name, each in self.figures.items() if (each["source"] == OWN) == is_own}
            if not chosen:
                continue
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, plain_json.text({**_read(path), **chosen}).encode())
            except (OSError, RunError):
                return


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return plain_json.read(path.read_bytes(), dict[str, Figures])
    except (OSError, ValueError):
        return {}


def rows(names: Sequence[str], figures: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Everything known of each model, None where nothing is."""
    by_name = {each.name: each for each in entries()}
    result = []
    for name in names:
        errors = deck_errors().get(name, {})
        described = by_name[name].described() if name in by_name else {"year": None, "paper": None, "title": None}
        computed = figures.get(name) or {**dict.fromkeys(COMPUTED), "source": source(name)}
        result.append(
            {"name": name, **described, **computed}
            | {"top1": errors.get("top1"), "top5": errors.get("top5"), "errors_of": errors.get("of")}
        )
    return result


def source(registered: str) -> str:
    """Where the network of a registered name is defined."""
    if registered in imports.model_names():
        return OWN
    if registered not in registry.local_names():
        return "timm"
    return "torchvision" if registered.startswith("tv_") else "local"


def _digest(own: Sequence[str]) -> str:
    """Over the YAML, our sources that the figures come from, the versions of the libraries, and digests of the user's
    code."""
    files = sorted(file for room in FIGURING for file in (PACKAGE / room).rglob("*.py"))
    for folder in folders():
        files += sorted((folder / "model").glob("*.yaml"))
    known = [__version__, *map(version, ("torch", "torchvision", "timm")), *own]
    sha = hashlib.sha256(repr(known).encode())
    for file in files:
        sha.update(f"{file.name};".encode() + hashlib.sha256(file.read_bytes()).digest())
    return sha.hexdigest()

"""What there is to choose as ``model=``: every YAML with its paper and year, and the figures kept on disk.

Nothing here imports torch: a listing whose figures are on disk is a matter of reading files. `figures` computes them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from cnntrain.config.search_path import folders
from cnntrain.core import plain_json
from cnntrain.core.paths import cache_home
from cnntrain.core.version import __version__
from cnntrain.models import registry

CITATION = re.compile(r"\(([^()]*?) ((?:19|20)\d\d)(?:, ([^();]*)[^()]*)?\)")
ABSTRACT = "timm"  # the YAML that the others inherit
COMPUTED = ("family", "params", "macs", "input", "depth", "source", "weights")
DECK_ERRORS = Path(registry.__file__).parent / "deck_errors.yaml"


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
    """Figures by model in a file whose name is a digest of all that they depend on.

    A file that is missing, damaged or does not hold what is needed counts as empty.
    """

    def __init__(self) -> None:
        self.path = cache_home() / f"models-{_digest()[:16]}.json"
        self.figures = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return {name: each for name, each in content.items() if set(each) == set(COMPUTED)}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def add(self, computed: Mapping[str, dict[str, Any]]) -> None:
        """Keep these figures too. A folder that cannot be written costs only the time to compute them again."""
        from cnntrain.core.errors import RunError
        from cnntrain.core.files import write_atomic

        self.figures = {**self._read(), **self.figures, **computed}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.path, plain_json.text(self.figures).encode())
        except (OSError, RunError):
            return


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
    if registered not in registry.local_names():
        return "timm"
    return "torchvision" if registered.startswith("tv_") else "local"


def _digest() -> str:
    """Over the YAML, our sources that the figures come from, and the versions of the libraries."""
    study, nets = Path(__file__).parent, Path(registry.__file__).parent
    sources = [*nets.glob("*.py"), *(study / "anatomy").glob("*.py"), study / "catalog.py", study / "figures.py"]
    files = sorted(sources)
    for folder in folders():
        files += sorted((folder / "model").glob("*.yaml"))
    sha = hashlib.sha256(repr([__version__, *map(version, ("torch", "torchvision", "timm"))]).encode())
    for file in files:
        sha.update(f"{file.name};".encode() + hashlib.sha256(file.read_bytes()).digest())
    return sha.hexdigest()

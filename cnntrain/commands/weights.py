"""``cnntrain weights``: which pretrained weights are on this machine, where they were looked for, and fetching them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from cnntrain.config.schema import Command, Ended
from cnntrain.config.search_path import is_model, model_names
from cnntrain.core import plain_json, tables
from cnntrain.core.errors import ConfigError
from cnntrain.core.files import write_new
from cnntrain.core.limits import Place
from cnntrain.core.paths import absolute
from cnntrain.core.units import in_bytes
from cnntrain.core.words import suggest, tell
from cnntrain.study import catalog

COLUMNS = ("weights", "in", "size", "file")
LEFT = ("weights", "in", "file")


@dataclass(frozen=True)
class Weights(Command):
    fetch: str | None
    output: Place | None
    format: Literal["table", "json"]

    def __post_init__(self) -> None:
        if self.output is not None and self.fetch is None:
            raise ValueError("output=<folder> is where fetch=<model> writes: give that too")
        if self.format == "json" and self.fetch is not None:
            raise ValueError("format=json is of the list, and fetch=<model> makes a file: leave one of them out")

    def execute(self, typed: Sequence[str]) -> Ended:
        """List them, or make a file of those that are asked for."""
        if self.fetch is not None:
            return Ended(made=str(self._fetched(_registered(self.fetch))))
        from cnntrain.models import cached_weights

        found, looked_in = cached_weights.found(), cached_weights.places()
        if self.format == "json":
            rows = [{"weights": each.name, "in": each.place, "bytes": each.size, "file": each.file} for each in found]
            print(plain_json.text({"weights": rows, "looked_in": looked_in}, indent=2))
            return Ended()
        title = f"{len(found)} on this machine, {in_bytes(sum(each.size for each in found))}"
        cells = [[each.name, each.place, in_bytes(each.size), each.file] for each in found]
        print(tables.table(title, COLUMNS, cells, LEFT), end="")
        tell("looked in, in this order:")
        for place, where in looked_in.items():
            tell(f"  {place}: {where}")
        return Ended()

    def _fetched(self, name: str) -> Path:
        """The file of a model's weights, under the names that the model gives them.

        Raises:
            InputError: they cannot be had, or the file is there already.
        """
        from safetensors.torch import save

        from cnntrain.models import local_weights
        from cnntrain.models.pretrained import published

        model = published(name)
        folder = local_weights.folder() if self.output is None else Path(absolute(self.output))
        file = folder / f"{local_weights.full_name(name)}.safetensors"
        write_new(file, save({key: value.contiguous() for key, value in model.state_dict().items()}))
        return file


def _registered(word: str) -> str:
    """The name by which timm knows what ``model=`` calls so.

    Raises:
        ConfigError: there is no such model.
    """
    files = {each.name: each.file for each in catalog.entries()}
    if word in files:
        return str(yaml.safe_load(files[word].read_text(encoding="utf-8")).get("name", word))
    if not is_model(word):
        raise ConfigError(f"fetch={word} is no model{suggest(word, {*files, *model_names()})}")
    return word

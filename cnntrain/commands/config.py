"""``cnntrain config cp``: a YAML of ours, copied out to edit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from cnntrain.config.groups import builtin_dir
from cnntrain.config.schema import Command, Ended
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.files import write_new
from cnntrain.core.limits import Place
from cnntrain.core.words import suggest, tell


@dataclass(frozen=True)
class Config(Command):
    words: ClassVar[tuple[str, ...]] = ("action", "what")

    action: Literal["cp"]
    what: str
    to: Place

    def execute(self, typed: Sequence[str]) -> Ended:
        ours = builtin_dir()
        known = {file.relative_to(ours).with_suffix("").as_posix() for file in ours.glob("*/*.yaml")}
        if self.what not in known:
            hint = (
                suggest(self.what, known) or f"; the groups are {', '.join(sorted({n.split('/')[0] for n in known}))}"
            )
            raise ConfigError(f"what={self.what} is no <group>/<option> of ours{hint}")
        target = Path(self.to) / f"{self.what}.yaml"
        if target.resolve() == (ours / f"{self.what}.yaml").resolve():
            raise InputError(f"{target} is the original: run this in a folder of your own, or give to=<folder>")
        write_new(target, (ours / f"{self.what}.yaml").read_bytes())
        tell("it comes before ours wherever this folder is ./configs or is given as --config-dir")
        return Ended(made=str(target))

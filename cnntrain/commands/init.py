"""``cnntrain init``: a folder of the user's own to work in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cnntrain.config.schema import Command, Ended
from cnntrain.core.errors import InputError
from cnntrain.core.files import write_new
from cnntrain.core.limits import Place
from cnntrain.core.words import tell

EXPERIMENT = """\
# @package _global_
# A first experiment: a small network on handwritten digits, at two learning rates.
# command: cnntrain experiment=first            one run
#          cnntrain -m experiment=first         one run for each value below
#          cnntrain plot runs=outputs/first curve=optim.lr
defaults:
  - override /model: lenet5  # cnntrain models lists the networks
  - override /data: digits  # your own images: data=imagefolder data.root=<folder with one folder a class>
  - override /optim: sgd
  - override /schedule: cosine

name: first
optim:
  lr: 0.05
trainer:
  epochs: 10
hydra:
  sweeper:
    params:
      ++optim.lr: 0.05,0.01
"""
IGNORED = "outputs/\ndata/\n"
HOW = """\
# {name}

    cnntrain experiment=first          train; the last line is the run's folder
    cnntrain eval run=<folder>         its best checkpoint on the test part
    cnntrain experiment=first --cfg job    every key with its value

`configs/` comes before cnntrain's own: `cnntrain config cp data/imagefolder` copies one of those out to edit. Code of
your own (a network, a data source, a policy) goes into a Python file here: `cnntrain --import my_code.py ...`.
"""


@dataclass(frozen=True)
class Init(Command):
    words: ClassVar[tuple[str, ...]] = ("folder",)

    folder: Place

    def execute(self, typed: Sequence[str]) -> Ended:
        root = Path(self.folder)
        files = {
            root / "configs" / "experiment" / "first.yaml": EXPERIMENT,
            root / ".gitignore": IGNORED,
            root / "README.md": HOW.format(name=root.absolute().name),
        }
        there = [str(path) for path in files if path.exists()]
        if there:
            raise InputError(f"{', '.join(there)}: there already; take another folder")
        for path, text in files.items():
            write_new(path, text.encode())
        tell(f"cd {self.folder} && cnntrain experiment=first")
        return Ended(made=str(root))

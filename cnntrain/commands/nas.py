"""``cnntrain nas``: search a network's architecture: a space, an algorithm, an evaluation."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cnntrain.config.nas import Algorithm, Evaluation, Space
from cnntrain.config.schema import Ended
from cnntrain.config.searching import Searching, shown
from cnntrain.core import plain_json, signals, tables
from cnntrain.core.errors import RunError, StopError
from cnntrain.core.files import write_atomic
from cnntrain.core.limits import Count
from cnntrain.core.words import tell

if TYPE_CHECKING:
    from cnntrain.search.nas.searching import Child

FILE, BEST = "nas.json", "best.json"
COLUMNS = ("child", "val", "params", "MACs", "seconds")
SHOWN = 5


@dataclass(frozen=True)
class Nas(Searching):
    """Takes the keys of a training, which are those of each child."""

    free: ClassVar[frozenset[str]] = Searching.free | {"children"}

    space: Space
    algorithm: Algorithm
    evaluation: Evaluation
    children: Count

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model.name != "found" or self.model.genotype is not None or "genotype" in self.model.args:
            raise ValueError("nas trains the networks of its space: leave out model= and model.genotype")
        if self.model.pretrained or self.model.weights is not None:
            raise ValueError("the networks of a space begin with random weights: leave out pretrained ones")

    def execute(self, typed: Sequence[str]) -> Ended:
        """Train the children that are not trained yet; show and write what was found."""
        from cnntrain.build import trial
        from cnntrain.search import journal
        from cnntrain.search.nas import searching

        place = self.place(f"nas-{self.data.name}-{self.space.name}-{self.algorithm.name}-{self.seed}")
        found: list[Child] = []
        with trial.in_this_process(self.trainer), journal.opened(place, self.fixed(), self.defaults) as kept:
            parts = self.space, self.algorithm, self.evaluation
            try:
                for child in searching.children(self.training(), *parts, self.children, kept):
                    found.append(child)
                    self._tell(found)
            except StopError:
                tell(f"stopped; the same command goes on in {place}", sys.stderr)
                return Ended(signals.STOPPED, str(place))
            if len(found) < self.children:
                tell(f"note: {self.algorithm.name} proposes nothing new after {len(found)} children", sys.stderr)
            self._leave(place, found, shlex.join(["cnntrain", "nas", *typed]))
        return Ended(made=str(place))

    def _tell(self, found: Sequence[Child]) -> None:
        values = [each.record["value"] for each in found if each.record["value"] is not None]
        best = f"{max(values):.4f}" if values else "none yet"
        tell(f"child {len(found)}/{self.children}: {shown(found[-1].record['value'])}; best {best}", sys.stderr)

    def _leave(self, place: Path, found: Sequence[Child], command: str) -> None:
        """Raises RunError where no child learned."""
        numbered = [(number, each.record) for number, each in enumerate(found, 1) if each.record["value"] is not None]
        if not numbered:
            raise RunError(f"no child's loss stayed a number: lower optim.lr, under another name ({place} is kept)")
        ranked = sorted(numbered, key=lambda each: (-each[1]["value"], each[1]["macs"]))
        rows = [
            [str(number), shown(each["value"]), f"{each['params']:,}", f"{each['macs']:,}", f"{each['seconds']:.1f}"]
            for number, each in ranked[:SHOWN]
        ]
        title = (
            f"{self.space.name} by {self.algorithm.name}: the best of {len(found)} children, {self.checkpoint.metric}"
        )
        tell(tables.table(title, COLUMNS, rows))
        number, best = ranked[0]
        result: Mapping[str, Any] = {
            "command": command,
            "space": self.space.name,
            "algorithm": self.algorithm.name,
            "metric": self.checkpoint.metric,
            "seed": self.seed,
            "proposals": found[-1].proposals,
            "best": {"child": number, **best},
            "values": [each.record["value"] for each in found],
            "seconds": sum(each.record["seconds"] for each in found),
        }
        write_atomic(place / BEST, plain_json.text(best["genotype"], indent=2).encode())
        write_atomic(place / FILE, plain_json.text(dict(result), indent=2).encode())
        tell(f"to train it longer: cnntrain model=found model.genotype={place / BEST}")

"""``cnntrain explain``: what a trained network's answers rest on, and what its parts respond to."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnntrain.config.method import Method
from cnntrain.config.pictures import require_method
from cnntrain.config.schema import Command, Ended
from cnntrain.core.errors import InputError
from cnntrain.core.limits import Count, Place, Whole
from cnntrain.core.words import tell

if TYPE_CHECKING:
    from cnntrain.build.trained import Trained
    from cnntrain.runs.trackers.tensorboard import TensorBoard
    from cnntrain.study.explain.base import Cloud
    from cnntrain.study.explain.folder import Images
    from cnntrain.study.explain.subject import Shown, Subject


@dataclass(frozen=True)
class Explain(Command):
    """Of a run's network."""

    run: Place | None
    images: Place | None
    method: Method
    layer: str | None
    target: str
    output: Place | None
    tensorboard: bool
    seed: Whole
    batch_size: Count
    num_workers: Whole | None
    device: Literal["auto", "cpu", "cuda"]
    runs: Place  # where the latest run is looked for

    def __post_init__(self) -> None:
        from cnntrain.study.explain.base import Attribution, Pictures

        if self.run is None:
            raise ValueError("run is required: run=<run folder>")
        draws = isinstance(self.method, Pictures)
        looks = self.method.needs_images if isinstance(self.method, Pictures) else isinstance(self.method, Attribution)
        if self.images is None and looks:
            raise ValueError("images is required: images=<file, folder, pattern, table *.csv or ->")
        if self.images is not None and not looks:
            raise ValueError(f"images={self.images}: method={self.method.name} looks at none: leave it out")
        if draws and self.target != "predicted":
            raise ValueError(f"target={self.target}: method={self.method.name} has none: leave it out")
        if isinstance(self.method, Attribution | Pictures) and self.layer is not None and not self.method.uses_layer:
            raise ValueError(f"layer={self.layer}: method={self.method.name} looks at no one layer: leave it out")

    def execute(self, typed: Sequence[str]) -> Ended:
        """Explain all images; the exit code is 1 where one cannot be read."""
        from cnntrain.build import predicting, reading
        from cnntrain.core import dist
        from cnntrain.study.explain import folder
        from cnntrain.study.explain.base import Attribution

        adjust = reading.adjusting(self.device, self.batch_size, self.num_workers)
        (found,) = reading.members([str(self.run)], self.runs, dist.pick_device(self.device), adjust)
        for note in found.notes:
            tell(note, sys.stderr)
        require_method(self.method, self.layer, found.config.data, found.config.task)
        bad: list[str] = []

        def say(problem: str) -> None:
            if problem not in bad:  # a method may go through the images more than once
                bad.append(problem)
                tell(f"cnntrain: {problem}", sys.stderr)

        subject = found.subject(self.layer, self.seed)
        inputs, names = ([], []) if self.images is None else predicting.listed_inputs(found, self.images)
        shown = found.shown(inputs, say, names)
        place = folder.new(Path(self.output) if self.output else found.path.parent / f"explain-{self.method.name}")
        if self.output and place != Path(self.output):
            raise InputError(f"output={self.output} is there already")
        pictures = self._written(place, subject, shown, found, typed)
        if not pictures:
            is_read = isinstance(self.method, Attribution) and len(bad) < len(names)
            why = "the network says nothing of this class of any" if is_read else "none of them can be read"
            raise InputError(f"images={self.images}: {why}, so that there is nothing to explain")
        if self.tensorboard:
            _to_tensorboard(found, pictures)
        return Ended(int(bool(bad)), str(place))

    def _written(self, place: Path, subject: Subject, shown: Shown, found: Trained, typed: Sequence[str]) -> Images:
        from cnntrain.runs.versions import versions
        from cnntrain.study.explain import folder
        from cnntrain.study.explain.base import Attribution, Pictures
        from cnntrain.study.explain.explaining import Explained
        from cnntrain.study.explain.hooks import undisturbed

        about: dict[str, Any] = {
            "model": found.config.model.name,
            "data": found.config.data.name,
            "checkpoint": str(found.path),
            "epoch": found.epoch,
            "seed": self.seed,
            "versions": versions(),
            "command": shlex.join(["cnntrain", "explain", *typed]),
        }
        uses_one = getattr(self.method, "uses_layer", False) and getattr(self.method, "has_layer", True)
        layer = subject.at if uses_one else self.layer
        result = folder.about(self.method, layer, **about)
        if isinstance(self.method, Attribution):
            explained = Explained(self.method, subject, shown, self.target, lambda line: tell(line, sys.stderr))
            pictures = folder.write_explanations(place, explained, shown, result)
            for note in explained.notes:
                tell(f"note: {note}", sys.stderr)
            return pictures
        assert isinstance(self.method, Pictures), "a method is of one of the two kinds"
        with undisturbed(subject.network):
            project = partial(_project, found) if self.tensorboard else lambda name, cloud: None
            return folder.write_pictures(place, self.method.pictures(subject, shown), result, project)


def _to_tensorboard(found: Trained, pictures: Images) -> None:
    import torch

    with _board(found) as board:
        for name, pixels in pictures.items():
            board.images(name, torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255)


def _project(found: Trained, name: str, cloud: Cloud) -> None:
    with _board(found) as board:
        board.points(name, cloud.features, {"image": cloud.names, "label": cloud.labels}, cloud.thumbnails)


@contextmanager
def _board(found: Trained) -> Iterator[TensorBoard]:
    from cnntrain.runs.trackers.tensorboard import TensorBoard

    board = TensorBoard(found.path.parent / "tb", 0)
    try:
        yield board
    finally:
        board.close()

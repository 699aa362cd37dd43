"""``cnntrain bench``: how fast a training is, and what limits it."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cnntrain.config.schema import Ended, TrainConfig
from cnntrain.core import plain_json, tables
from cnntrain.core.limits import Count
from cnntrain.core.units import in_bytes
from cnntrain.core.words import tell

if TYPE_CHECKING:
    from cnntrain.training.run import Run
    from cnntrain.training.speed import Speed

COLUMNS = ("", "images/s", "of the step's")
STEP = (
    "the step itself: trainer.tune=auto tries layouts and threads, trainer.compile=on fuses operations; on a GPU "
    "trainer.precision=bfloat16, and trainer.cuda_graphs=true where the network is small"
)
ADVICE = {
    "step": STEP,
    "loop": "what the loop does beside the step: larger batches make it less",
    "data": "images that are not there in time",
}


@dataclass(frozen=True)
class Bench(TrainConfig):
    """Takes the keys of a training, of which those that say how it ends and what it leaves have no effect."""

    steps: Count
    rounds: Count
    format: Literal["table", "markdown", "json"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resume is not None:
            raise ValueError("resume has no meaning for cnntrain bench, which trains nothing: leave it out")

    def execute(self, typed: Sequence[str]) -> Ended:
        """Measure, and show what was found."""
        from cnntrain.build.run import build
        from cnntrain.core import dist
        from cnntrain.runs.report import Report
        from cnntrain.training.precision import arithmetic
        from cnntrain.training.saver import Saver
        from cnntrain.training.speed import measure

        config = replace(self, checkpoint=replace(self.checkpoint, every_steps=None))
        with arithmetic(self.trainer.deterministic, self.trainer.tf32), tempfile.TemporaryDirectory() as folder:
            run = build(config)
            report = Report(self.task.columns)
            saver = Saver(Path(folder), run.state, self.checkpoint.time_share, self.checkpoint.keep)
            speed = measure(run, report, saver, self.steps, self.rounds)
            if dist.rank() == 0:
                self._show(run, speed, typed)
        return Ended()

    def _show(self, run: Run, speed: Speed, typed: Sequence[str]) -> None:
        from cnntrain.core import dist
        from cnntrain.runs.versions import versions

        title = (
            f"{self.model.name} on {self.data.name}, {self.augment.in_words} augmentation, batch "
            f"{run.loaders.batch_size} on {dist.world_size()} x {run.device} in {self.trainer.precision}"
        )
        memory, memory_of = run.usage.peak_memory(), run.usage.peak_memory_of(run.loaders.workers)
        if self.format == "json":
            facts = {
                "images_per_second": {"data": speed.data, "step": speed.step, "training": speed.training},
                "ratio": speed.ratio,
                "waiting": speed.waiting,
                "limit": speed.limit,
                "peak_memory_bytes": memory,
                "peak_memory_of": memory_of,
                "batch_size": run.loaders.batch_size,
                "arithmetic": run.state.about["chosen"],
                "steps": min(self.steps, run.step.steps_per_epoch),
                "rounds": self.rounds,
                "versions": versions(),
                "command": shlex.join(["cnntrain", "bench", *typed]),
            }
            print(plain_json.text(facts, indent=2))
            return
        rows = [
            ["data alone: read, augmented, normalised", f"{speed.data:,.0f}", f"{speed.data / speed.step:.2f}"],
            ["step alone: forward, backward, update", f"{speed.step:,.0f}", "1.00"],
            ["training", f"{speed.training:,.0f}", f"{speed.ratio:.2f}"],
        ]
        draw = tables.table if self.format == "table" else tables.markdown
        print(draw(title, COLUMNS, rows, COLUMNS[:1]), end="", flush=True)
        for note in run.notes:
            tell(f"note: {note}")
        tell(f"training waits for its batches {speed.waiting:.0%} of the time; {in_bytes(memory)} of {memory_of}")
        tell(f"it is limited by {_advice(run, speed)}")


def _advice(run: Run, speed: Speed) -> str:
    """What limits the run, and the keys that change it."""
    if speed.limit != "data":
        return ADVICE[speed.limit]
    if run.loaders.train.source.workers:
        return (
            f"{ADVICE['data']}, with {run.loaders.train.source.workers} processes that read: data.resident and "
            "data.pack_size keep images in memory, data.num_workers sets the processes"
        )
    return f"{ADVICE['data']}: they are in memory, so it is augment={run.config.augment.name} that takes the time"

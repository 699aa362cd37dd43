"""``cnntrain bench``: how fast a training is, and what limits it; or how fast a trained network answers."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cnntrain.config.schema import Ended, TrainConfig
from cnntrain.core import extras, plain_json, tables
from cnntrain.core.errors import ConfigError
from cnntrain.core.limits import Count, Place, Whole
from cnntrain.core.units import in_bytes
from cnntrain.core.words import tell

if TYPE_CHECKING:
    from cnntrain.build.trained import Trained
    from cnntrain.export.latency import Latency
    from cnntrain.export.parity import Proof
    from cnntrain.training.run import Run
    from cnntrain.training.speed import Speed

LATEST = "latest"
OF_A_RUN = {"run", "batch_sizes", "threads", "images", "rounds", "format", "output"}
BATCH_SIZES, IMAGES = (1, 32), 512
NOT_COMPUTED = ("bfloat16", "float16", "float64")  # what is exported computes in float32
COLUMNS = ("", "images/s", "of the step's")
STEP = (
    "the step itself: trainer.tune=auto tries layouts, threads and, in a long run, compiling; on a GPU "
    "trainer.precision=bfloat16, and trainer.cuda_graphs=true where the network is small"
)
ADVICE = {
    "step": STEP,
    "loop": "what the loop does beside the step: larger batches make it less",
    "data": "images that are not there in time",
}


@dataclass(frozen=True)
class Bench(TrainConfig):
    """Takes the keys of a training, of which those that say how it ends and what it leaves have no effect; with `run`
    that run's own stand in their place."""

    steps: Count
    rounds: Count
    run: Place | None
    batch_sizes: list[Count] | None
    threads: list[Count] | None
    images: Whole | None  # of val, by which the forms of a network are judged
    format: Literal["table", "markdown", "json"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resume is not None:
            raise ValueError("resume has no meaning for cnntrain bench, which trains nothing: leave it out")
        of_a_run = {"batch_sizes": self.batch_sizes, "threads": self.threads, "images": self.images}
        given = [key for key, value in of_a_run.items() if value is not None]
        if self.run is None and given:
            raise ValueError(
                f"{', '.join(given)}: for a trained network alone, give run=<run folder or checkpoint> too"
            )
        if self.run is not None and self.devices > 1:
            raise ValueError(f"devices={self.devices}: a trained network is measured in one process, leave it out")
        for key in ("batch_sizes", "threads"):
            values = of_a_run[key]
            if isinstance(values, list) and (not values or len(set(values)) < len(values)):
                raise ValueError(f"{key}={values} must be one number or more, each once")

    def execute(self, typed: Sequence[str]) -> Ended:
        """Measure, and show what was found."""
        if self.run is None:
            self._measure_training(typed)
        else:
            self._measure_trained(self.run, typed)
        return Ended()

    def _measure_training(self, typed: Sequence[str]) -> None:
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

    def _measure_trained(self, place: str, typed: Sequence[str]) -> None:
        """Raises ConfigError where keys are typed that are the run's own."""
        keys = {each.partition("=")[0].lstrip("+~") for each in typed} - OF_A_RUN
        if keys:
            raise ConfigError(
                f"run={place} is measured with its own configuration: leave out {', '.join(sorted(keys))}, or give it "
                "without run= to measure a training"
            )
        from cnntrain.core import cores
        from cnntrain.export import latency, subject, variants
        from cnntrain.training.precision import arithmetic

        found = self._found(place)
        without = _without_onnx()
        count = IMAGES if self.images is None else self.images
        with arithmetic(found.config.trainer.deterministic, False), tempfile.TemporaryDirectory() as folder:
            val = subject.val_of(found, count) if count else None
            made = variants.variants(found, val, Path(folder), in_onnx=without is None)
            proofs = variants.proofs(found, val, made) if val is not None else {}
            sizes, threads = self.batch_sizes or BATCH_SIZES, self.threads or (cores.usable(),)
            times = latency.measure(made, found.seen, sizes, threads, self.rounds)
        self._show_trained(found, times, proofs, without, typed)

    def _show_trained(
        self,
        found: Trained,
        times: Sequence[Latency],
        proofs: Mapping[str, Proof],
        without: str | None,
        typed: Sequence[str],
    ) -> None:
        from cnntrain.export import latency_words as words
        from cnntrain.runs.versions import versions

        if self.format == "json":
            found_out = words.facts(found, times, proofs)
            more = {"left_out": without, "rounds": self.rounds, "versions": versions(), "command": _command(typed)}
            print(plain_json.text({**found_out, **more}, indent=2))
            return
        task = found.config.task
        draw = tables.table if self.format == "table" else tables.markdown
        columns = words.columns(task, proofs)
        print(draw(words.title(found), columns, words.rows(task, times, proofs), columns[:1]), end="", flush=True)
        notes = [] if without is None else [f"note: {without}"]
        if not proofs:
            notes.append("note: images=0: int8, which is calibrated by images of val, and accuracies are left out")
        for each in (*found.notes, *words.lines(proofs, times), *notes):
            tell(each)

    def _found(self, place: str) -> Trained:
        import torch

        from cnntrain.build import trained
        from cnntrain.core.paths import expanded
        from cnntrain.export import bundle, subject
        from cnntrain.runs import checkpoint, folder

        path = folder.latest(expanded(self.output), checkpoint.BEST) if place == LATEST else expanded(place)
        if path.suffix == bundle.SUFFIX:
            raise ConfigError(f"run={place}: an exported network has its preprocessing inside: give its run's folder")
        path = path if path.is_file() else trained.best_of(path)
        return trained.read(path, torch.device("cpu"), lambda tree: subject.on_cpu(tree, NOT_COMPUTED))

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
                "command": _command(typed),
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


def _command(typed: Sequence[str]) -> str:
    return shlex.join(["cnntrain", "bench", *typed])


def _without_onnx() -> str | None:
    """Why there are no forms of onnxruntime; None: there are."""
    try:
        extras.needed_for_onnx("measuring onnx and int8")
    except ConfigError as error:  # the others are worth measuring without them
        return str(error)
    return None


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

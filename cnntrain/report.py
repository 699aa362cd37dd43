"""What a run tells: one ``log(step, values)`` to every sink, and a screen for people.

On ranks other than the first a `Report` has no sinks, so callers need not ask who they are.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cnntrain import checkpoint, dist
from cnntrain.folder import METRICS
from cnntrain.metrics import means
from cnntrain.models import auxiliary

if TYPE_CHECKING:
    from torch import Tensor

    from cnntrain.run import Run

LOG = "train.log"
REFRESH_SECONDS = 0.25


class Sink(Protocol):
    """Somewhere that values go."""

    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class Report:
    """The sinks of this rank and its screen (None where the rank shows nothing)."""

    def __init__(self, sinks: Sequence[Sink] = (), screen: Screen | None = None):
        self.sinks = list(sinks)
        self.screen = screen

    @classmethod
    def open(cls, folder: Path, step: int, epoch: int) -> Report:
        """The report of a run in `folder` that has done so many steps and whole epochs.

        What a killed run logged later is dropped: the resumed one logs it again.
        """
        if dist.rank() > 0:
            return cls()
        return cls([JsonLines(folder / METRICS, step, epoch), TensorBoard(folder / "tb", step)], Screen(folder / LOG))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for sink in self.sinks:
            sink.log(step, values)

    def say(self, what: Any) -> None:
        """Show a line or a table, and keep it in the log."""
        if self.screen is not None:
            self.screen.say(what)

    @contextmanager
    def epoch(self, run: Run) -> Iterator[None]:
        """Show live progress through an epoch, where somebody is looking."""
        with self.screen.bar(run) if self.screen is not None else nullcontext():
            yield

    def step_done(self, run: Run) -> None:
        every = run.config.trainer.log_every
        if every and run.progress.step % every == 0:
            metrics = run.totals.metrics()
            self.log(run.progress.step, {"train/loss": metrics["loss"], "lr": run.rate()})
        if self.screen is not None:
            self.screen.advance(run)

    def epoch_done(self, run: Run, values: Mapping[str, float], improved: bool, note: str | None) -> None:
        """Log an epoch's metrics and show them in one line."""
        progress = run.progress
        self.log(progress.step, {"epoch": progress.epoch, **values})
        rate = progress.images / progress.seconds if progress.seconds else 0
        self.say(
            f"epoch {progress.epoch:3d}/{run.config.trainer.epochs}"
            f"  train loss {values['train/loss']:.4f} top-1 {values['train/top1']:.2%}"
            f"  val {values['val/loss']:.4f} {values['val/top1']:.2%}"
            f"  lr {values['lr']:.3g}  {rate:,.0f} img/s{'  best' if improved else ''}"
        )
        if note:
            self.say(f"  {note}")

    def images(self, name: str, images: Tensor) -> None:
        """Log a grid of images [batch, channels, height, width] with values in [0, 1]."""
        for sink in self.sinks:
            if isinstance(sink, TensorBoard):
                sink.images(name, images)

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        for sink in self.sinks:
            if isinstance(sink, TensorBoard):
                sink.hparams(settings, metrics)

    def close(self) -> None:
        for sink in self.sinks:
            sink.close()
        if self.screen is not None:
            self.screen.close()


class JsonLines:
    """One JSON object a line: ``{"step": ..., "val/top1": ...}``, fractions as fractions."""

    def __init__(self, path: Path, step: int, epoch: int):
        if path.exists():
            kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _is_before(line, step, epoch)]
            checkpoint.write_atomic(path, "".join(f"{line}\n" for line in kept).encode())
        self.file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 (closed by `close`)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.file.write(json.dumps({"step": step, **values}) + "\n")

    def close(self) -> None:
        self.file.close()


def _is_before(line: str, step: int, epoch: int) -> bool:
    """Whether a logged line belongs to a run that stands there; a line cut short by a kill does not.

    The step alone would not do: a checkpoint written at an epoch's last step is from before the epoch's line. A line of
    the test is from after every checkpoint.
    """
    try:
        values = json.loads(line)
    except ValueError:
        return False
    return values["step"] <= step and values.get("epoch", 0) <= epoch and "test/loss" not in values


class TensorBoard:
    """Scalars, images and hyperparameters for TensorBoard."""

    def __init__(self, folder: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def images(self, name: str, images: Tensor) -> None:
        from torchvision.utils import make_grid

        self.writer.add_image(name, make_grid(images.cpu(), nrow=8), 0)

    def hparams(self, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        self.writer.add_hparams(dict(settings), dict(metrics), run_name=".")

    def close(self) -> None:
        self.writer.close()


class Screen:
    """The terminal, and the same lines in train.log; a bar only where the output is a terminal."""

    def __init__(self, log: Path | None):
        self.console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
        self.file = open(log, "a", encoding="utf-8", buffering=1) if log is not None else None  # noqa: SIM115
        self.log = Console(file=self.file, width=160, highlight=False) if self.file is not None else None
        self.progress: Progress | None = None
        self.shown_at = 0.0

    def say(self, what: Any) -> None:
        for console in (self.console, self.log):
            if console is not None:
                console.print(what, markup=False)

    @contextmanager
    def bar(self, run: Run) -> Iterator[None]:
        if not self.console.is_terminal:
            yield
            return
        columns = ("[progress.description]{task.description}", "{task.fields[state]}")
        bar = (TextColumn(columns[0]), BarColumn(), MofNCompleteColumn(), TextColumn(columns[1]), TimeRemainingColumn())
        description = f"epoch {run.progress.epoch + 1}/{run.config.trainer.epochs}"
        with Progress(*bar, console=self.console, transient=True) as self.progress:
            steps, done = run.steps_per_epoch, run.progress.step_in_epoch
            self.task = self.progress.add_task(description, total=steps, completed=done, state="")
            yield
        self.progress = None

    def advance(self, run: Run) -> None:
        """Move the bar; reads the loss off the device only a few times a second."""
        if self.progress is None or time.monotonic() - self.shown_at < REFRESH_SECONDS:
            return
        self.shown_at = time.monotonic()
        loss = means(run.totals.sums.tolist())["loss"]
        rate = run.progress.images / run.progress.seconds if run.progress.seconds else 0
        state = f"loss {loss:.4f}  lr {run.rate():.3g}  {rate:,.0f} img/s"
        self.progress.update(self.task, completed=run.progress.step_in_epoch, state=state)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


def opening(run: Run) -> list[Any]:
    """What a run shows before its first step: what runs on what, and stage by stage what is trained."""
    config, data = run.config, run.data
    counts = {"train": data.train, "val": data.val, "test": data.test}
    parts = ", ".join(f"{name} {len(part):,}" for name, part in counts.items() if part is not None)
    size, channels = run.loaders.preprocess.image_size, run.loaders.preprocess.channels
    lines = [
        f"{config.model.name}: {sum(p.numel() for p in auxiliary.main_parameters(run.model)):,} parameters, "
        f"{run.macs / 1e6:,.1f} M multiply-adds at {channels}x{size}x{size}, "
        f"{'pretrained' if config.model.pretrained else config.model.weights or 'random'} weights"
        f"{', stem for small images' if getattr(run.model, 'small_stem', False) else ''}",
        f"{config.data.name}: {parts} images of {len(data.classes)} classes; fingerprint {data.fingerprint[:12]}",
        *(f"note: {each}" for each in data.notes),
        f"{config.optim.name}, {config.schedule.name}, {config.augment.name} augmentation, batch "
        f"{run.loaders.batch_size} on {dist.world_size()} x {run.device} in {config.trainer.precision}",
    ]
    if extra := sum(p.numel() for p in auxiliary.parameters(run.model)):
        weight = config.model.aux_weight
        lines.append(f"auxiliary heads, in training only: {extra:,} parameters more, loss x {weight:g}")
    return [*lines, *run.loaders.notes(config.data.batch_size), *config.transfer.notes(), _stages(run)]


def _stages(run: Run) -> Table:
    """Stage by stage: parameters, whether and when they are trained, and at what multiple of ``optim.lr``."""
    policy, epochs = run.config.transfer, ceil(run.total_steps / run.steps_per_epoch)
    multipliers = policy.rate_multipliers(run.model, run.freezing.head)
    shown = any(each != 1 for each in multipliers.values())
    steps = [1.0, *(policy.rate_multiplier(epoch) for epoch in range(epochs))]
    changes = [f"every rate x {b:g} from epoch {n}" for n, (a, b) in enumerate(pairwise(steps), 1) if a != b]
    table = Table(title=f"transfer={policy.name}", title_justify="left", caption="; ".join(changes) or None)
    for name in ("stage", "parameters", "", *(["lr x"] if shown else [])):
        table.add_column(name, justify="right" if name in ("parameters", "lr x") else "left")
    sizes = {name: parameter.numel() for name, parameter in run.model.named_parameters()}
    for group, states in zip(run.freezing.groups, run.freezing.changes(epochs), strict=True):
        rates = [multipliers[name] for name in group.parameters]
        ends = dict.fromkeys(f"{each:.3g}" for each in (min(rates), max(rates)))
        span = "" if states == {0: "frozen"} else "..".join(ends)
        count = sum(sizes[name] for name in group.parameters)
        table.add_row(group.name, f"{count:,}", _when(states, epochs), *([span] if shown else []))
    return table


def _when(states: Mapping[int, str], epochs: int) -> str:
    """What `Freezing.changes` says of a stage, in words; epochs as the screen counts them, from 1."""
    if set(states) == {0, epochs} and states[0] == "frozen":
        return f"frozen, never trained in these {epochs} epochs"
    later = [f"{state} from epoch {epoch + 1}" for epoch, state in states.items() if 0 < epoch < epochs]
    return ", ".join([states[0], *later])


def summary(result: Mapping[str, Any]) -> list[Any]:
    """The end of a run: its accuracies (percent), and its speed."""
    table = _metrics_table(f"{result['model']['name']}: {result['status']}")
    best, test = result["best"], result["test"]
    if best is not None:
        values = {name: best[f"val/{name}"] for name in ("top1", "top5", "loss")}
        _metrics_row(table, f"validation, best epoch {best['epoch']}", {**values, **result["val"]})
    if test is not None:
        _metrics_row(table, "test", test)
    train = result["train"]
    speed = (
        f"{result['epochs']} epochs, {train['seconds']:.1f} s of training, {train['images_per_second']:,.0f} images/s, "
        f"{train['data_wait']:.0%} of the time waiting for data"
    )
    return [table, speed]


def evaluation(result: Mapping[str, Any]) -> Table:
    """The metrics of one evaluation, in percent."""
    table = _metrics_table(f"{result['model']}, epoch {result['epoch']}: {result['checkpoint']}")
    _metrics_row(table, f"{result['data']['name']} {result['data']['part']}", result)
    return table


def _metrics_table(title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("", "top-1", "top-5", "loss", "images"):
        table.add_column(name, justify="right" if name else "left")
    return table


def _metrics_row(table: Table, name: str, values: Mapping[str, Any]) -> None:
    cells = (f"{values['top1']:.2%}", f"{values['top5']:.2%}", f"{values['loss']:.4f}", f"{values['count']:,}")
    table.add_row(name, *cells)

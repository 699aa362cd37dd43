"""What do checkpoints cost a training: none, written in between its steps, and in a thread beside them?

    python scripts/bench_checkpoints.py [--words model=resnet18 model.stem=cifar] [--every 4] [--rounds 9]

Epochs of a few steps on images of noise, with a checkpoint every so many of them, one after the other in each round:
without any, each hashed and written before the next step, and as a run does it. An epoch's time ends when its last
checkpoint is on disk. Prints medians of an epoch's seconds and of the processor's, and of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from cnntrain.build.run import build
from cnntrain.commands.train import Train
from cnntrain.config import compose
from cnntrain.config.check import check, plain
from cnntrain.runs import checkpoint
from cnntrain.runs.report import Report
from cnntrain.training.loop import train_epoch
from cnntrain.training.run import Run
from cnntrain.training.saver import Saver

KINDS = ("none", "between", "beside")


def made(kind: str, place: Path, asked: argparse.Namespace) -> tuple[Run, Report, Saver]:
    every = "null" if kind == "none" else asked.every
    words = [*asked.words, "data=fake", "data.image_size=32", f"data.train_size={asked.steps * asked.batch}",
             f"data.batch_size={asked.batch}", "augment=flip_crop", "model.pretrained=false", "optim.lr=0.001",
             f"trainer.device={asked.device}", f"checkpoint.every_steps={every}", "trainer.epochs=100000"]  # fmt: skip
    run = build(check(plain(compose.compose_config("train", words)), Train))
    place.mkdir()
    saver = Saver(place, run.state, share=1.0, keep=2)
    if kind == "between":
        saver.begin_write = saver.write  # type: ignore[method-assign]
    return run, Report(run.config.task.columns), saver


def epoch(run: Run, report: Report, saver: Saver) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    phase = run.begin_epoch(report, saver)
    start, used = time.perf_counter(), time.process_time()
    train_epoch(run, phase, report, saver)
    saver.close()
    if run.device.type == "cuda":
        torch.cuda.synchronize()
    found = time.perf_counter() - start, time.process_time() - used
    progress = run.state.progress
    progress.epoch, progress.step_in_epoch = progress.epoch + 1, 0
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", nargs="+", default=["model=resnet18", "model.stem=cifar"])
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path, help="on the disk that is meant; by default that of temporary files")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        runs = {kind: made(kind, Path(folder) / kind, asked) for kind in KINDS}
        found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
        for number in range(asked.rounds + 1):
            for kind, run in runs.items():
                measured = epoch(*run)
                if number:  # the first warms up
                    found[kind].append(measured)
        size = (Path(folder) / "beside" / checkpoint.LAST).stat().st_size
    print(f"{' '.join(asked.words)}: {size / 2**20:.0f} MiB every {asked.every} steps of {asked.batch} images, "
          f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    for kind, values in found.items():
        seconds, used = (median(each[place] for each in values) for place in (0, 1))
        print(f"  {kind:8} {seconds:7.3f} s, {used:7.3f} s of CPU")
    none, between, beside = ([each[0] for each in found[kind]] for kind in KINDS)
    print(f"  beside / between {median(a / b for a, b in zip(beside, between, strict=True)):.2f}, "
          f"between / none {median(a / b for a, b in zip(between, none, strict=True)):.2f}, "
          f"beside / none {median(a / b for a, b in zip(beside, none, strict=True)):.2f}")  # fmt: skip


if __name__ == "__main__":
    main()

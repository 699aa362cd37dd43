"""How near is training on a GPU to the bare step?

    python scripts/bench_gpu.py [--rounds 5] [--works resnet18:32 resnet50:224 ...] [--precision bfloat16]

Made-up images that are kept in the GPU's memory, batches of 128, crop and flip (of 224 pixels: random resized crops of
images packed at 256), SGD with momentum, in a half precision with the channels last. In each round, one after the
other: an epoch of ours (the loop, its metrics and its progress as in a run); as many bare steps, which are forward,
cross-entropy, backward and update on tensors that are ready; and the batches of an epoch alone, as training reads and
augments them. Prints images a second, medians over the rounds, with the medians of the rounds' ratios, and what a batch
costs against a bare step. On a CPU it prints what a CPU does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from cnntrain.build.run import build
from cnntrain.commands.train import Train
from cnntrain.config import compose
from cnntrain.config.check import check, plain
from cnntrain.core import dist
from cnntrain.runs.report import Report
from cnntrain.training.loop import train_epoch
from cnntrain.training.precision import arithmetic, autocast
from cnntrain.training.run import Run
from cnntrain.training.saver import Saver

CLASSES, READY = 10, 8
WORKS = ("resnet18:32", "resnet50:32", "resnet18:224", "resnet50:224")
AUGMENT = {32: ("augment=flip_crop",), 224: ("augment=imagenet", "data.pack_size=256")}


def words(work: str, precision: str, batch: int, steps: int, more: list[str]) -> list[str]:
    name, side = work.split(":")
    return [f"model={name}", "model.pretrained=false", "data=fake", f"data.num_classes={CLASSES}", "data.val_size=10",
            "data.test_size=0", f"data.train_size={batch * steps}", f"data.image_size={side}",
            f"data.batch_size={batch}", *AUGMENT[int(side)], f"trainer.precision={precision}",
            "optim.lr=0.001", "trainer.epochs=1000", *more]  # fmt: skip


def waited(run: Run) -> float:
    if run.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def epoch(run: Run, report: Report, saver: Saver) -> float:
    """Seconds; the first one also reads the images."""
    phase, progress = run.begin_epoch(report, saver), run.state.progress
    start = waited(run)
    train_epoch(run, phase, report, saver)
    took = waited(run) - start
    progress.epoch, progress.step_in_epoch = progress.epoch + 1, 0
    return took


def batches(run: Run) -> float:
    assert run.phase is not None, "an epoch comes first"
    start = waited(run)
    for _ in run.phase.train.batches(run.loaders.train_plan(run.state.progress.epoch)):
        pass
    return waited(run) - start


def bare(run: Run) -> Callable[[], float]:
    """Steps of a network of its own, of the same kind."""
    config, precision = run.config, run.config.trainer.precision
    size, seen = config.data.batch_size, run.loaders.preprocess
    shape = (size, seen.channels, seen.image_size, seen.image_size)
    model: nn.Module = config.model.create(CLASSES, seen.channels, seen.image_size, pretrained=False).to(run.device)
    form = run.loaders.train.memory_format
    model.to(memory_format=form).train()
    fused = run.device.type == "cuda"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9, weight_decay=1e-4, fused=fused)
    ready = [torch.randn(shape, device=run.device).contiguous(memory_format=form) for _ in range(READY)]
    labels = torch.randint(0, CLASSES, (size,), device=run.device)

    def steps() -> float:
        start = waited(run)
        for number in range(run.loaders.steps_per_epoch):
            with autocast(precision, run.device):
                loss = cross_entropy(model(ready[number % READY]), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return waited(run) - start

    return steps


def compare(work: str, asked: argparse.Namespace, output: Path) -> None:
    typed = [*words(work, asked.precision, asked.batch, asked.steps, asked.more), f'output="{output}"',
             f'data.cache_dir="{output / "cache"}"']  # fmt: skip
    config = check(plain(compose.compose_config("train", typed)), Train)
    with arithmetic(config.trainer.deterministic, config.trainer.tf32):
        run = build(config)
        report, saver = Report(config.task.columns), Saver(output, run.state, 0.1, 1)
        found: list[tuple[float, float, float]] = []
        steps = bare(run)
        for number in range(asked.rounds + 1):
            took = epoch(run, report, saver), steps(), batches(run)
            if number:  # the first warms up
                found.append(took)
    count = run.loaders.steps_per_epoch * config.data.batch_size
    ours, alone, data = (median(each[place] for each in found) for place in range(3))
    ratio = median(each[1] / each[0] for each in found)
    where = torch.cuda.get_device_name(run.device) if run.device.type == "cuda" else "CPU"
    print(f"{work} on {where}, {asked.precision}, batch {config.data.batch_size}: ours {count / ours:,.0f} images/s, "
          f"bare {count / alone:,.0f}, ratio {ratio:.3f}; batches alone {count / data:,.0f}, "
          f"{data / alone:.1%} of the step", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", nargs="+", default=list(WORKS), help="<model>:<pixels a side, 32 or 224>")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60, help="an epoch")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--more", nargs="*", default=[], help="key=value, for the configuration")
    asked = parser.parse_args()
    assert dist.world_size() == 1, "one process"
    for work in asked.works:
        with tempfile.TemporaryDirectory() as folder:
            compare(work, asked, Path(folder))


if __name__ == "__main__":
    main()

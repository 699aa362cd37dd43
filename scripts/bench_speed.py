"""How near is training to the bare step, and how far from what one would write by hand?

    python scripts/bench_speed.py [--nets resnet20 resnet18 lenet5] [--rounds 5] [--images 5000] [--no-peers]
        [--more trainer.compile=on ...]    # keys of ours

One epoch of 5,000 PNG files of 32 x 32 in an image folder, crop and flip, batches of 128, SGD with momentum, on this
machine's CPU, in each round one after the other, each in a process of its own: ours (the images are kept in memory; the
loop, its metrics, its progress and its process as in a run); the bare step, which is forward, cross-entropy, backward
and update on tensors that are ready, eager, in torch's own memory format and with the channels last; torchvision's
ImageFolder with its transforms and a DataLoader, by hand and in Lightning (``pip install lightning``; left out where it
is not there), with the number of workers that is best in a trial. Prints images a second, medians over the rounds, and
the medians of the rounds' ratios; of ours also the share of the time that the loop waited for data, by its own account
and by a clock around the iterator.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from others import BATCH, CLASSES, NETS, SIDE, Measured, bare, by_hand, in_lightning, plainly
from PIL import Image

from cnntrain.build.run import build
from cnntrain.commands.train import Train
from cnntrain.config import compose
from cnntrain.config.check import check, plain
from cnntrain.core import allocation, dist
from cnntrain.runs.report import Report
from cnntrain.training.loop import train_epoch
from cnntrain.training.run import Run
from cnntrain.training.saver import Saver

BARE, LAST = "bare", "bare, channels last"
WORKERS = (0, 1, 2, 3)
AT_LEAST = {  # against the bare step in torch's own format, the best bare step, the better of the peers
    "resnet20": (1.25, 0.97, 1.4), "resnet18": (1.2, 0.97, 1.2), "lenet5": (1.2, 0.85, 4.5),
}  # fmt: skip


class Work(NamedTuple):
    """What is trained on, and the keys of ours."""

    net: str
    root: Path
    output: Path
    images: int
    more: list[str]


def draw(folder: Path, images: int) -> None:
    """Noise whose colour depends on the class; a tenth more for validation."""
    random = np.random.default_rng(0)
    for part, count in (("train", images), ("val", images // 10)):
        for number in range(count):
            place = folder / part / str(number % CLASSES)
            place.mkdir(parents=True, exist_ok=True)
            tint = np.array([number % CLASSES * 12, 128, 255 - number % CLASSES * 12])
            pixels = random.normal(tint, 60, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")


def our_run(work: Work) -> tuple[Run, Report, Saver]:
    output = work.output
    words = [*NETS[work.net], "data=imagefolder", f'data.root="{work.root}"', f"data.image_size={SIDE}",
             "augment=flip_crop", f"data.batch_size={BATCH}", "model.pretrained=false", "trainer.device=cpu",
             f'output="{output}"', f'data.cache_dir="{output / "cache"}"', "optim.lr=0.01",
             "trainer.epochs=1000", *work.more]  # fmt: skip
    config = check(plain(compose.compose_config("train", words)), Train)
    run = build(config)
    return run, Report(config.task.columns), Saver(output, run.state, 0.1, 1)


def ours(run: Run, report: Report, saver: Saver) -> Measured:
    """An epoch of training; the first call also reads the images."""
    phase = run.begin_epoch(report, saver)
    progress, clock, feed = run.state.progress, 0.0, phase.train
    seconds, waited, images = progress.seconds, progress.data_wait, progress.images

    class Clocked:
        """The feed, with a clock around its iterator."""

        @property
        def waited(self) -> float:
            return feed.waited

        def batches(self, plan: Any) -> Iterator[Any]:
            nonlocal clock
            source = feed.batches(plan)
            while True:
                start = time.perf_counter()
                batch = next(source, None)
                clock += time.perf_counter() - start
                if batch is None:
                    return
                yield batch

    phase.train = Clocked()
    start = time.perf_counter()
    train_epoch(run, phase, report, saver)
    took = time.perf_counter() - start
    phase.train = feed
    progress.epoch, progress.step_in_epoch = progress.epoch + 1, 0
    return (progress.images - images) / took, (progress.data_wait - waited) / (progress.seconds - seconds), clock / took


def made(kind: str, work: Work) -> Callable[[], Measured] | None:
    """What trains an epoch; None: it is not installed."""
    if kind == "ours":
        run, report, saver = our_run(work)
        return lambda: ours(run, report, saver)
    if kind.startswith("bare"):
        return bare(work.net, torch.channels_last if kind == LAST else torch.contiguous_format, work.images)
    name, workers = kind.split(", ")
    loader = by_hand(work.root, int(workers.split()[0]))
    return plainly(work.net, loader) if name == "by hand" else in_lightning(work.net, loader)


def serve(kind: str, work: Work, link: Connection) -> None:
    """An epoch whenever it is asked for, in this process; what a command of ours sets for its process is of ours
    alone."""
    with allocation.kept() if kind == "ours" else nullcontext():
        epoch = made(kind, work)
        link.send(epoch is not None)
        while epoch is not None and link.recv():
            link.send(epoch())


@contextmanager
def served(kind: str, work: Work) -> Iterator[Callable[[], Measured] | None]:
    """`made` in a process of its own."""
    spawn = get_context("spawn")
    link, other = spawn.Pipe()
    process = spawn.Process(target=serve, args=(kind, work, other))
    process.start()

    def epoch() -> Measured:
        link.send(True)
        return link.recv()

    yield epoch if link.recv() else None
    if process.is_alive():
        link.send(False)
    process.join()


def best_workers(work: Work) -> int:
    """With which a loader by hand is fastest in its second epoch."""
    speeds = list[float]()
    for workers in WORKERS:
        with served(f"by hand, {workers} workers", work) as epoch:
            assert epoch is not None
            speeds.append([epoch(), epoch()][1][0])
    return WORKERS[int(np.argmax(speeds))]


def compare(work: Work, rounds: int, peers: bool) -> None:
    kinds = ["ours", BARE, LAST]
    if peers:
        workers = best_workers(work)
        kinds += [f"{each}, {workers} workers" for each in ("by hand", "Lightning")]
    with ExitStack() as stack:
        all_kinds = {each: stack.enter_context(served(each, work)) for each in kinds}
        epochs = {name: epoch for name, epoch in all_kinds.items() if epoch is not None}
        found: dict[str, list[Measured]] = {name: [] for name in epochs}
        for number in range(rounds + 1):
            for name, epoch in epochs.items():
                measured = epoch()
                if number:  # the first warms up
                    found[name].append(measured)
    print(f"{' '.join([work.net, *work.more])}: load {os.getloadavg()[0]:.1f}, {torch.get_num_threads()} threads")
    for name, values in found.items():
        print(f"  {name:22} {median(each[0] for each in values):9,.0f} images/s")
    speeds = {name: [each[0] for each in values] for name, values in found.items()}
    first, second, *others = [speeds[name] for name in list(speeds)[1:]]
    against = {"bare": first, "best bare": list(map(max, zip(first, second, strict=True)))}
    if others:
        against["better peer"] = list(map(max, zip(*others, strict=True)))
    for (name, theirs), least in zip(against.items(), AT_LEAST[work.net], strict=False):
        ratio = median(mine / other for mine, other in zip(speeds["ours"], theirs, strict=True))
        print(f"  ours / {name:15} {ratio:9.2f} x  (at least {least})")
    own, clock = (median(each[place] for each in found["ours"]) for place in (1, 2))
    print(f"  waiting for data: {own:.1%} by the run, {clock:.1%} in the iterator with augmentation (at most 5%)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--more", nargs="*", default=[], help="key=value, for our configuration")
    asked = parser.parse_args()
    assert dist.world_size() == 1, "one process"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "set"
        draw(root, asked.images)
        for net in asked.nets:
            output = Path(folder) / net
            output.mkdir()
            compare(Work(net, root, output, asked.images, asked.more), asked.rounds, asked.peers)


if __name__ == "__main__":
    main()

"""Searches of LeNet-5's learning rate, momentum, weight decay and batch on the digits: what is found after n trials?

    python scripts/search_studies.py [--samplers tpe random] [--trials 40] [--studies 5] [--epochs 3] [--pruners none]

Prints of each sampler and pruner the best val accuracy after so many trials and the epochs that its runs have trained,
the mean over studies with its 95% interval (Student's t), and the differences to the last one named.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cnntrain import cli
from cnntrain.study.paired.statistics import of_runs

SPACE = (
    "optim.lr=tag(log,interval(1e-4,1))", "optim.momentum=interval(0,0.99)",
    "optim.weight_decay=tag(log,interval(1e-6,1e-1))", "data.batch_size=choice(16,32,64,128)",
)  # fmt: skip
FIXED = (
    "data=digits", "data.train_per_class=40", "augment=none", "model=lenet5", "trainer.device=cpu", "report.html=false",
    "report.trackers=[]", "schedule=constant", "checkpoint.every_steps=null", "hydra/sweeper=optuna",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samplers", nargs="+", default=["tpe", "random"])
    parser.add_argument("--pruners", nargs="+", default=["none"])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--studies", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    after = [number for number in (5, 10, 20, 30, 40) if number <= args.trials] or [args.trials]
    kinds = list(itertools.product(args.samplers, args.pruners))
    found: dict[tuple[str, str], list[list[float]]] = {each: [] for each in kinds}
    epochs: dict[tuple[str, str], list[int]] = {each: [] for each in kinds}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for seed in range(args.studies):
            for sampler, pruner in kinds:
                values, trained = study(sampler, pruner, seed, args)
                found[sampler, pruner].append([max(values[:number]) for number in after])
                epochs[sampler, pruner].append(trained)
                best = ", ".join(f"{each:.2%}" for each in found[sampler, pruner][-1])
                print(f"{sampler}, {pruner}, seed {seed}: {best}; {trained} epochs", flush=True)
    last = kinds[-1]
    print(f"best val top1 after {after} trials; the differences are to {', '.join(last)} at the same seed")
    for kind in kinds:
        name, trained = ", ".join(kind), epochs[kind]
        print(f"{name}: {cells(found[kind])}; epochs a study {shown(trained, '.0f')}")
        if kind != last:
            less = [[a - b for a, b in zip(*pair, strict=True)] for pair in zip(found[kind], found[last], strict=True)]
            share = [a / b - 1 for a, b in zip(trained, epochs[last], strict=True)]
            print(f"{name}, difference: {cells(less)}; epochs {shown(share)}")


def cells(studies: list[list[float]]) -> str:
    return " | ".join(shown(column) for column in zip(*studies, strict=True))


def shown(values: Sequence[float], form: str = ".2%") -> str:
    """Their mean, and how far its 95% interval reaches."""
    low, high = of_runs(values) or [float("nan")] * 2
    return f"{statistics.fmean(values):{form}} ± {(high - low) / 2:{form}}"


def study(sampler: str, pruner: str, seed: int, args: argparse.Namespace) -> tuple[list[float], int]:
    """The trials' values in their order, 0 of one that has none, and the epochs that they trained."""
    place = Path(f"study-{sampler}-{pruner}-{seed}")
    settings = (
        f"hydra.sweeper.sampler={sampler}", f"hydra.sweeper.seed={seed}", f"hydra.sweeper.n_trials={args.trials}",
        f"hydra.sweeper.pruner={pruner}", f"hydra.sweep.dir={place}", f"output={place}/runs",
        f"trainer.epochs={args.epochs}",
    )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        cli.main(["-m", *FIXED, *SPACE, *settings])
    jobs = json.loads((place / "sweep.json").read_text())["jobs"]
    ended = [each["value"] if each["status"] == "finished" else 0.0 for each in jobs]
    return [each or 0.0 for each in ended], sum(each["epochs"] or 0 for each in jobs)


if __name__ == "__main__":
    main()

"""Searches of LeNet-5's learning rate, momentum, weight decay and batch on the digits: what is found after n trials?

    python scripts/search_studies.py [--samplers tpe random] [--trials 40] [--studies 5] [--epochs 3] [--pruner none]

Prints of each sampler the best val accuracy after 10, 20, 40 ... trials, the mean over studies with its 95% interval
(Student's t), and the epochs that its runs have trained.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import tempfile
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
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--studies", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--pruner", default="none")
    args = parser.parse_args()
    after = [number for number in (10, 20, 40) if number <= args.trials] or [args.trials]
    found: dict[str, list[list[float]]] = {each: [] for each in args.samplers}
    epochs: dict[str, list[int]] = {each: [] for each in args.samplers}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for seed in range(args.studies):
            for sampler in args.samplers:
                values, trained = study(sampler, seed, args)
                found[sampler].append([max(values[:number]) for number in after])
                epochs[sampler].append(trained)
                print(f"{sampler} {seed}: {found[sampler][-1]}, {trained} epochs", flush=True)
    for sampler, rows in found.items():
        cells = []
        for number, values in zip(after, zip(*rows, strict=True), strict=True):
            low, high = of_runs(values) or [float("nan")] * 2
            cells.append(f"{number} trials {statistics.fmean(values):.2%} [{low:.2%}, {high:.2%}]")
        print(f"{sampler}: {', '.join(cells)}; {statistics.fmean(epochs[sampler]):.0f} epochs a study")


def study(sampler: str, seed: int, args: argparse.Namespace) -> tuple[list[float], int]:
    """The trials' values in their order, 0 of one that has none, and the epochs that they trained."""
    place = Path(f"study-{sampler}-{seed}")
    settings = (
        f"hydra.sweeper.sampler={sampler}", f"hydra.sweeper.seed={seed}", f"hydra.sweeper.n_trials={args.trials}",
        f"hydra.sweeper.pruner={args.pruner}", f"hydra.sweep.dir={place}", f"output={place}/runs",
        f"trainer.epochs={args.epochs}",
    )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        cli.main(["-m", *FIXED, *SPACE, *settings])
    jobs = json.loads((place / "sweep.json").read_text())["jobs"]
    ended = [each["value"] if each["status"] == "finished" else 0.0 for each in jobs]
    return [each or 0.0 for each in ended], sum(each["epochs"] or 0 for each in jobs)


if __name__ == "__main__":
    main()

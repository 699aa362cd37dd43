"""Is what ``trainer.tune=auto`` chooses as fast as the best fixed choice?

    python scripts/bench_tune.py [--nets lenet5 resnet20] [--rounds 5] [--steps 20] [--epochs 40]

A run of each net, of so many epochs of 50,000 made-up images of 32 x 32, chooses layout, number of threads and, where
it is long enough, whether to compile; then the same steps are timed with what it chose and with every fixed choice, one
after the other in each round. Prints each one's images a second, medians over the rounds, and the median of the rounds'
ratios of the chosen to the best fixed one.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from statistics import median

import torch

from cnntrain.build.run import build
from cnntrain.commands.train import Train
from cnntrain.config import compose
from cnntrain.config.check import check, plain
from cnntrain.training.tuning import Choice, Plan, Rehearsal, _numbers_of_threads

BATCH = 128
LAYOUTS = ("channels_last", "contiguous")


def compare(net: str, rounds: int, steps: int, epochs: int, folder: str) -> None:
    words = [f"model={net}", "model.pretrained=false", "data=fake", "data.train_size=50000", "augment=none",
             "trainer.device=cpu", "trainer.tune=auto", f"output={folder}", f"data.batch_size={BATCH}",
             f"trainer.epochs={epochs}"]  # fmt: skip
    config = check(plain(compose.compose_config("train", words)), Train)
    run = build(config)
    print(*run.notes, sep="\n")
    chosen = Choice(**run.state.about["chosen"])
    policy, seen = run.state.policy, run.loaders.preprocess
    plan = Plan(config, run.state.model, policy, seen, len(run.data.classes), run.device, BATCH, steps)
    fixed = list(itertools.product(LAYOUTS, _numbers_of_threads(run.device), ("off", "on")))
    layout = "channels_last" if chosen.memory_format == "auto" else chosen.memory_format
    choices = {each: each for each in fixed} | {"chosen": (layout, chosen.threads or fixed[0][1], chosen.compile)}
    tries = {name: Rehearsal(plan, BATCH, choice[0]) for name, choice in choices.items()}
    for name, rehearsal in tries.items():
        if choices[name][2] == "on":
            rehearsal.compile()
    speeds: dict[object, list[float]] = {each: [] for each in tries}
    for number in range(rounds + 1):
        for each, rehearsal in tries.items():
            torch.set_num_threads(choices[each][1])
            speed = steps * BATCH / sum(rehearsal.step() for _ in range(steps))
            if number:  # the first warms up
                speeds[each].append(speed)
    for each, found in speeds.items():
        print(f"{net} {each}: {median(found):,.0f} images/s")
    best = max(fixed, key=lambda each: median(speeds[each]))
    ratio = median(mine / other for mine, other in zip(speeds["chosen"], speeds[best], strict=True))
    print(f"{net}: chosen / best fixed {ratio:.2f} (at least 0.97)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=["lenet5", "resnet20"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=40)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for net in asked.nets:
            compare(net, asked.rounds, asked.steps, asked.epochs, folder)


if __name__ == "__main__":
    main()

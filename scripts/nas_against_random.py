"""Is an architecture search better than random search with as many children?

    python scripts/nas_against_random.py data=digits data.train_per_class=30 trainer.epochs=3

searches by random, evolution and reinforce, each with several seeds, and prints the best value of val after so many
children: mean over the seeds with its 95% interval (Student), and the difference to random search of the same seeds.
The words are those of cnntrain nas. Searches that are there go on, or are read again; test is not looked at.
"""

from __future__ import annotations

import argparse
from itertools import accumulate
from pathlib import Path

from cnntrain.cli import compose_and_start
from cnntrain.core import plain_json
from cnntrain.study.paired.statistics import of_runs

ALGORITHMS = ("random", "evolution", "reinforce")
SETTINGS = {"evolution": ("algorithm.population=8", "algorithm.sample=3")}  # a population of 20 is for more children


def best_so_far(algorithm: str, seed: int, children: int, folder: str, words: list[str]) -> list[float]:
    """Of one search, after each child."""
    place = f"{folder}/{algorithm}-{seed}"
    own = [f"algorithm={algorithm}", *SETTINGS.get(algorithm, ()), f"seed={seed}", f"children={children}"]
    ended = compose_and_start("nas", [*own, f"output={folder}", f"name={algorithm}-{seed}", *words])
    if ended.made is None or ended.code:
        raise SystemExit(f"{place} ended with code {ended.code}")
    found = plain_json.read((Path(ended.made) / "nas.json").read_bytes(), dict)
    return list(accumulate((each or 0.0 for each in found["values"]), max))


def interval(values: list[float]) -> str:
    """Mean and half of the 95% interval, in percent."""
    low, high = of_runs(values) or (values[0], values[0])
    return f"{50 * (low + high):.2f} ± {50 * (high - low):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--children", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3, help="at least 2")
    parser.add_argument("--output", default="outputs/nas-against-random")
    parser.add_argument("words", nargs="*", help="overrides of cnntrain nas")
    args = parser.parse_args()
    curves = {
        algorithm: [best_so_far(algorithm, seed, args.children, args.output, args.words) for seed in range(args.seeds)]
        for algorithm in ALGORITHMS
    }
    shown = sorted({max(1, args.children // 6), args.children // 3, args.children // 2, args.children})
    print(f"best of val, percent, {args.seeds} seeds; difference to random: of the same seeds")
    print("| children | " + " | ".join(ALGORITHMS) + " | evolution - random | reinforce - random |")
    print("|" + "---|" * (len(ALGORITHMS) + 3))
    for count in shown:
        reached = {name: [each[min(count, len(each)) - 1] for each in curves[name]] for name in ALGORITHMS}
        cells = [interval(values) for values in reached.values()]
        for name in ALGORITHMS[1:]:
            cells.append(interval([a - b for a, b in zip(reached[name], reached["random"], strict=True)]))
        print(f"| {count} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

"""How long does the default command take as a whole, from the start of its process, against another version?

    python scripts/bench_command.py <folder of another version> [--rounds 5]

The other version is a git worktree of an older commit. Both in turn for as many seeds on this machine's CPU: seconds,
medians, the accuracies on test, and the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median


def whole(versions: Mapping[str, Path], rounds: int) -> None:
    """The default command of each version, a seed a round."""
    seconds: dict[str, list[float]] = {name: [] for name in versions}
    tests: dict[str, list[float]] = {name: [] for name in versions}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(rounds):
            for name, root in versions.items():
                output, start = Path(folder) / f"{name}{seed}", time.perf_counter()
                words = [f"seed={seed}", f"output={output}", "trainer.device=cpu"]
                environment = {**os.environ, "PYTHONPATH": str(root.absolute())}
                subprocess.run([sys.executable, "-m", "cnntrain", *words], env=environment, cwd=folder, check=True,
                               stdout=subprocess.DEVNULL)  # fmt: skip
                seconds[name].append(time.perf_counter() - start)
                (result,) = output.rglob("result.json")
                tests[name].append(json.loads(result.read_text())["test"]["top1"])
    for name in versions:
        shown = " ".join(f"{each:.2%}" for each in tests[name])
        print(f"{name:6} {median(seconds[name]):6.1f} s  test {shown}, mean {sum(tests[name]) / rounds:.2%}")
    ours, other = seconds.values()
    ratio = median(mine / theirs for mine, theirs in zip(ours, other, strict=True))
    print(f"ours / other {ratio:.2f} x of the time (at most 0.4)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("against", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    whole({"ours": Path(__file__).parents[1], "other": asked.against}, asked.rounds)


if __name__ == "__main__":
    main()

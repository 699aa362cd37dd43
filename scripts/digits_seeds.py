"""The default command over several seeds: validation and test accuracy, and the mean of each.

python scripts/digits_seeds.py [--seeds 5]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    val, test = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(parser.parse_args().seeds):
            command = [sys.executable, "-m", "cnntrain", f"seed={seed}", f"output={folder}"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            result = json.loads((Path(done.stdout.splitlines()[-1]) / "result.json").read_text())
            val.append(result["best"]["val/top1"])
            test.append(result["test"]["top1"])
            print(
                f"seed {seed}: val {val[-1]:.2%}, test {test[-1]:.2%}, {result['train']['seconds']:.1f} s", flush=True
            )
    print(f"mean: val {mean(val):.2%}, test {mean(test):.2%}")


if __name__ == "__main__":
    main()

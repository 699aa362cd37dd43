"""How long until an answer, as ratios to bare imports, interleaved in one run, by medians.

python scripts/bench_startup.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from statistics import median

PYTHON = [sys.executable, "-c"]
CNNTRAIN = [sys.executable, "-m", "cnntrain"]
COMPARED = {  # name: (command, what it is measured against, exit code)
    "cnntrain --help": ([*CNNTRAIN, "--help"], "import hydra", 0),
    "cnntrain optim.lrr=1": ([*CNNTRAIN, "optim.lrr=1"], "import hydra", 2),
    "cnntrain model=vgg61": ([*CNNTRAIN, "model=vgg61"], "import hydra", 2),
    "cnntrain trainer.epochs=ten": ([*CNNTRAIN, "trainer.epochs=ten"], "import hydra", 2),
    "cnntrain resume=nowhere": ([*CNNTRAIN, "resume=nowhere"], "import hydra", 2),
    "cnntrain experiment=smoke": ([*CNNTRAIN, "experiment=smoke"], "import torch, torchvision, timm", 0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    baselines = {base: ([*PYTHON, base], 0) for _, base, _ in COMPARED.values()}
    commands = baselines | {name: (command, code) for name, (command, _, code) in COMPARED.items()}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, (command, code) in commands.items():
                start = time.perf_counter()
                done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                seconds[name].append(time.perf_counter() - start)
                assert done.returncode == code, (name, done.returncode)
    for name in baselines:
        print(f"{name}: {median(seconds[name]):.2f} s")
    for name, (_, base, _) in COMPARED.items():
        ratio = median(seconds[name]) / median(seconds[base])
        print(f"{name}: {median(seconds[name]):.2f} s = {ratio:.2f} x {base}")


if __name__ == "__main__":
    main()

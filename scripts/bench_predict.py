"""How long `cnntrain predict` takes for one image, as a ratio to bare imports, and how fast it is over many, as a ratio
to `cnntrain eval` on the same files: interleaved in one run, by medians.

python scripts/bench_predict.py [--rounds 5] [--images 10000] [--model resnet20]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

import cnntrain
from cnntrain.build import predicting, trained
from cnntrain.build.data import load_data
from cnntrain.build.judging import Member

IMPORTS = "import torch, torchvision, timm"
CLASSES, SIDE = 10, 32


def draw(root: Path, counts: Mapping[str, int]) -> None:
    """Noise as PNG files: so many a part, in ten folders."""
    random = np.random.default_rng(0)
    for part, count in counts.items():
        for number in range(count):
            path = root / part / str(number % CLASSES) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)


def interleaved(what: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each, after a round that warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in what}
    for _ in range(rounds + 1):
        for name, call in what.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: median(each[1:]) for name, each in seconds.items()}


def process(*command: str) -> Callable[[], None]:
    def call() -> None:
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--model", default="resnet20")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "images"
        draw(root, {"train": 10 * CLASSES, "val": CLASSES, "test": args.images})
        words = ("data=imagefolder", f"data.root={root}", f"data.image_size={SIDE}", f"model={args.model}")
        run = cnntrain.train(*words, "trainer.epochs=1", "trainer.device=cpu", f"output={folder}")["run_dir"]

        one = ("-m", "cnntrain", "predict", f"run={run}", f"images={root / 'test/0/0.png'}")
        cold = interleaved({"imports": process("-c", IMPORTS), "predict": process(*one)}, args.rounds)
        print(f"{IMPORTS}: {cold['imports']:.2f} s; predict, one image: {cold['predict']:.2f} s")
        print(f"one image, cold: {cold['predict'] / cold['imports']:.2f} x imports")

        found = cnntrain.load(run, device="cpu")
        images = load_data(found.config.data).labelled("test")
        files = [str(root / each) for each in images.part.ids]
        member = Member(found, found.seen)
        assert found.path == trained.best_of(Path(run))

        def predict() -> None:
            assert sum(len(rows) for rows, _ in predicting.answers([found], predicting.files(files))) == len(files)

        def evaluate() -> None:
            assert member.judged(images).metrics["count"] == len(files)

        speed = {
            name: len(files) / each
            for name, each in interleaved({"eval": evaluate, "predict": predict}, args.rounds).items()
        }
        print(f"{len(files):,} images: eval {speed['eval']:,.0f}, predict {speed['predict']:,.0f} images/s")
        print(f"predict: {speed['predict'] / speed['eval']:.2f} x eval")


if __name__ == "__main__":
    main()

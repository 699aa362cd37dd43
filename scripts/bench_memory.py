"""Does a run take more memory than its images, its network with one batch, and the libraries that compute?

    python scripts/bench_memory.py --root <folder with FashionMNIST/raw> [--model lenet5]

Each in a process of its own, whose largest resident memory counts: the libraries alone; these and training steps
of the network on one batch; a whole run of two epochs on Fashion-MNIST, the second that finds its images on disk, too.
What images take is their raw bytes, 70,000 of 28 x 28, one each. Prints the parts, and the runs as a multiple of their
sum.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

RAW = 70_000 * 28 * 28
LIBRARIES = "import torch, torchvision, timm, tensorboard, cnntrain.build.run, cnntrain.runs.report"
STEPS = """
from cnntrain.config import compose
from cnntrain.config.check import check, plain
from cnntrain.commands.train import Train
config = check(plain(compose.compose_config("train", ["model={model}", "data=fashion_mnist", "augment=none"])), Train)
model = config.model.create(10, 1, 32, pretrained=False).to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for _ in range(20):
    images = torch.rand(config.data.batch_size, 1, 32, 32)
    torch.nn.functional.cross_entropy(model(images), torch.zeros(len(images), dtype=torch.long)).backward()
    optimizer.step()
"""
PEAK = "\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
RUN = "import sys; from cnntrain import cli; cli.main(sys.argv[1:])"


def peak(code: str, *words: str) -> int:
    """Bytes."""
    done = subprocess.run([sys.executable, "-c", code + PEAK, *words], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--model", default="lenet5")
    asked = parser.parse_args()
    libraries = peak(LIBRARIES)
    steps = peak(LIBRARIES + STEPS.format(model=asked.model))
    with tempfile.TemporaryDirectory() as folder:
        words = [f"model={asked.model}", "data=fashion_mnist", f"data.root={asked.root}", f"output={folder}/out",
                 f"data.cache_dir={folder}/cache", "trainer.device=cpu", "trainer.epochs=2"]  # fmt: skip
        runs = [peak(RUN, *words) for _ in range(2)]
    print(f"libraries {libraries / 1e6:,.0f} MB; network and batches {(steps - libraries) / 1e6:,.0f} MB more; "
          f"images {RAW / 1e6:,.0f} MB; together {(steps + RAW) / 1e6:,.0f} MB")  # fmt: skip
    for name, found in zip(("first run", "second run"), runs, strict=True):
        print(f"{name} {found / 1e6:,.0f} MB = {found / (steps + RAW):.2f} x (at most 1.3)")


if __name__ == "__main__":
    main()

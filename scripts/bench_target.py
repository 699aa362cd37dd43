"""How long does it take until LeNet-5 has learned Fashion-MNIST, as a command, and as a program that one would write?

    python scripts/bench_target.py --root <folder with FashionMNIST/raw> [--epochs 8] [--rounds 3] [--target 0.88]

Whole processes from their start, one after the other in each round: ours, which also validates after each epoch, keeps
checkpoints and tests the best epoch; a program with torchvision's data set, its transforms and a DataLoader with two
workers, which trains on all 60,000 images and tests once; the same in Lightning (``pip install lightning``). All train
as many epochs with the same network, batch of 128, rate and momentum, on this machine's CPU; images are resized to 32
pixels, normalised, not augmented. Prints each one's seconds and test accuracy, and whether it is at least the target.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

BATCH, RATE, CACHE = 128, 0.05, "cache"


def network() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def loaders(root: Path) -> tuple[Any, Any]:
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import FashionMNIST
    from torchvision.transforms import v2

    transform = v2.Compose([
        v2.Resize(32), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.286], [0.353]),
    ])  # fmt: skip
    train, test = (FashionMNIST(str(root), train=part, transform=transform) for part in (True, False))
    several = {"num_workers": 2, "persistent_workers": True}
    return DataLoader(train, BATCH, shuffle=True, **several), DataLoader(test, BATCH, num_workers=2)


def by_hand(root: Path, epochs: int) -> float:
    import torch
    from torch.nn.functional import cross_entropy

    train, test = loaders(root)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=1e-4)
    for _ in range(epochs):
        for images, labels in train:
            cross_entropy(model(images), labels).backward()
            optimizer.step()
            optimizer.zero_grad()
    with torch.inference_mode():
        return sum(int((model(images).argmax(1) == labels).sum()) for images, labels in test) / len(test.dataset)


def in_lightning(root: Path, epochs: int) -> float:
    import lightning
    import torch
    from torch.nn.functional import cross_entropy

    train, test = loaders(root)

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.right = network(), 0

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            return cross_entropy(self.model(batch[0]), batch[1])

        def test_step(self, batch: Any, number: int) -> None:
            self.right += int((self.model(batch[0]).argmax(1) == batch[1]).sum())

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=RATE, momentum=0.9, weight_decay=1e-4)

    module = Module()
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(max_epochs=epochs, accelerator="cpu", enable_model_summary=False, **quiet)
    trainer.fit(module, train)
    trainer.test(module, test, verbose=False)
    return module.right / len(test.dataset)


PEERS = {"by hand": by_hand, "in Lightning": in_lightning}


def ours(asked: argparse.Namespace, folder: Path, seed: int) -> float:
    words = ["data=fashion_mnist", f"data.root={asked.root}", "model=lenet5", "trainer.device=cpu", "augment=none",
             f"trainer.epochs={asked.epochs}", f"optim.lr={RATE}", "optim.weight_decay=1e-4", f"seed={seed}",
             f"output={folder / str(seed)}", f"data.cache_dir={folder / CACHE}"]  # fmt: skip
    subprocess.run([sys.executable, "-m", "cnntrain", *words], check=True, stdout=subprocess.DEVNULL)
    (result,) = (folder / str(seed)).rglob("result.json")
    accuracy: float = json.loads(result.read_text(encoding="utf-8"))["test"]["top1"]
    return accuracy


def peer(name: str, asked: argparse.Namespace) -> float:
    words = [sys.executable, "-W", "ignore", __file__, "--peer", name, "--root", str(asked.root), "--epochs",
             str(asked.epochs)]  # fmt: skip
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return float(told.splitlines()[-1])


def compare(asked: argparse.Namespace) -> None:
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        works: dict[str, Any] = {"ours": lambda seed: ours(asked, Path(folder), seed)}
        works |= {name: lambda seed, name=name: peer(name, asked) for name in PEERS}
        for seed in range(asked.rounds):
            for name, work in works.items():
                start = time.perf_counter()
                accuracy = work(seed)
                found.setdefault(name, []).append((time.perf_counter() - start, accuracy))
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {asked.epochs} epochs")
    for name, each in found.items():
        reached = sum(accuracy >= asked.target for _, accuracy in each)
        shown = " ".join(f"{accuracy:.2%}" for _, accuracy in each)
        took = median(seconds for seconds, _ in each)
        print(f"{name:13} {took:6.1f} s  test {shown}; {reached} of {len(each)} reach {asked.target:.0%}")
    for name in PEERS:
        ratio = median(mine[0] / theirs[0] for mine, theirs in zip(found["ours"], found[name], strict=True))
        print(f"ours / {name:13} {ratio:.2f} x of the time (at most 0.4)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--target", type=float, default=0.88)
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peer:
        print(PEERS[asked.peer](asked.root, asked.epochs))
    else:
        compare(asked)


if __name__ == "__main__":
    main()

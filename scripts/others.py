"""What `bench_speed.py` compares training with: the bare step, and what one would write by hand or in Lightning."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from cnntrain.commands.train import Train
from cnntrain.config import compose
from cnntrain.config.check import check, plain

BATCH, SIDE, CLASSES = 128, 32, 10
NETS = {
    "resnet20": ("model=resnet20",),
    "resnet18": ("model=resnet18", "model.stem=cifar"),
    "lenet5": ("model=lenet5",),
}
Measured = tuple[float, float, float]  # images a second, share of waiting by the run's account, by the clock's


def network(net: str, memory_format: torch.memory_format) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Ours, by the same function as a run's."""
    model = check(
        plain(compose.compose_config("train", [*NETS[net], "augment=none", "model.pretrained=false"])), Train
    ).model
    made = model.create(CLASSES, 3, SIDE, pretrained=False).to(memory_format=memory_format)
    return made, torch.optim.SGD(made.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor) -> None:
    cross_entropy(model(images), labels).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def bare(net: str, memory_format: torch.memory_format, images: int) -> Callable[[], Measured]:
    model, optimizer = network(net, memory_format)
    ready = [torch.randn(BATCH, 3, SIDE, SIDE).contiguous(memory_format=memory_format) for _ in range(8)]
    labels, count = torch.randint(0, CLASSES, (BATCH,)), images // BATCH

    def epoch() -> Measured:
        start = time.perf_counter()
        for number in range(count):
            step(model, optimizer, ready[number % len(ready)], labels)
        return count * BATCH / (time.perf_counter() - start), 0.0, 0.0

    return epoch


def by_hand(root: Path, workers: int) -> DataLoader[Any]:
    transform = v2.Compose([
        v2.RandomCrop(SIDE, padding=4), v2.RandomHorizontalFlip(), v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5] * 3, [0.25] * 3),
    ])  # fmt: skip
    images = ImageFolder(str(root / "train"), transform)
    return DataLoader(images, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


def plainly(net: str, loader: DataLoader[Any]) -> Callable[[], Measured]:
    model, optimizer = network(net, torch.contiguous_format)

    def epoch() -> Measured:
        start, count = time.perf_counter(), 0
        for images, labels in loader:
            step(model, optimizer, images, labels)
            count += len(labels)
        return count / (time.perf_counter() - start), 0.0, 0.0

    return epoch


def in_lightning(net: str, loader: DataLoader[Any]) -> Callable[[], Measured] | None:
    try:
        import lightning
    except ImportError:
        return None
    model, optimizer = network(net, torch.contiguous_format)

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            return cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return optimizer

    class Clock(lightning.Callback):
        def on_train_epoch_start(self, *_: Any) -> None:
            self.start = time.perf_counter()

        def on_train_epoch_end(self, *_: Any) -> None:
            self.seconds = time.perf_counter() - self.start

    module, clock = Module(), Clock()
    names = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    quiet: dict[str, Any] = dict.fromkeys(names, False)

    def epoch() -> Measured:
        lightning.Trainer(max_epochs=1, accelerator="cpu", callbacks=[clock], **quiet).fit(module, loader)
        return len(loader.dataset) / clock.seconds, 0.0, 0.0  # type: ignore[arg-type]

    return epoch

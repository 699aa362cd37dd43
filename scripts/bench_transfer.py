"""What computing the frozen part once is worth, as ratios within one run, interleaved, by medians.

    python scripts/bench_transfer.py [--rounds 3] [--only probe_resnet18 probe_vgg16 ...] [--images 5000] [--epochs 20]

Every figure is a whole `cnntrain` command's: `train` is train.seconds of its result.json (filling the cache included),
`command` the time from start to end, the first step's time this_command.seconds_to_first_step. Weights are random: the
arithmetic is the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import timm
import torch
from torch import nn

from cnntrain.models import registry
from cnntrain.runs import checkpoint

BATCH = 128  # as configs/data/cifar10.yaml has it
COMMON = [
    "data=fake",
    f"data.batch_size={BATCH}",
    "augment=none",
    "model.pretrained=false",
    "data.val_size=500",
    "data.test_size=100",
]


@dataclass
class Done:
    """A command that has ended."""

    command: float  # seconds from start to end
    result: dict

    @property
    def train(self) -> float:
        return self.result["train"]["seconds"]

    @property
    def first_step(self) -> float:
        """Seconds from the start of the process."""
        return self.result["this_command"]["seconds_to_first_step"]

    @property
    def head(self) -> torch.Tensor:
        """The classifier's weights of the last epoch."""
        state = checkpoint.load(Path(self.result["run_dir"]) / checkpoint.LAST)["model"]
        return list(state.values())[-2]


class Bench:
    """The commands of one benchmark, in a folder that is emptied with it."""

    def __init__(self, folder: Path, args: argparse.Namespace):
        self.folder = folder
        self.args = args
        self.number = 0

    def run(self, *words: str) -> Done:
        self.number += 1
        output = self.folder / f"run{self.number}"
        line = [sys.executable, "-m", "cnntrain", *COMMON, *words, f"output={output}"]
        start = time.perf_counter()
        done = subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"{' '.join(line)}\n{done.stderr}")
        (file,) = output.glob("*/*/result.json")
        return Done(seconds, json.loads(file.read_text()))


def ratio(name: str, over: list[float], under: list[float], wanted: str) -> None:
    """Print the ratio of two medians, and the pairs that they are of."""
    pairs = ", ".join(f"{a:.2f}/{b:.2f}" for a, b in zip(over, under, strict=True))
    one, other = median(over), median(under)
    print(f"  {name}: {one:.2f} s / {other:.2f} s = {one / other:.2f} ({wanted}) of {pairs}", flush=True)


def probe(bench: Bench, model: str) -> None:
    """A linear probe with activations kept, without, and the least that it can cost. No dropout: the limit has none."""
    words = [f"model={model}", "model.stem=imagenet", "model.drop_rate=0", "transfer=linear_probe",
             f"data.train_size={bench.args.images}", f"trainer.epochs={bench.args.epochs}"]  # fmt: skip
    kept: list[Done] = []
    off: list[Done] = []
    limits: list[float] = []
    for _ in range(bench.args.rounds):
        kept.append(bench.run(*words))
        limits.append(limit(model, bench.args.images, bench.args.epochs))
        off.append(bench.run(*words, "transfer.cache=off"))
    ratio("train, cache=off over kept", [d.train for d in off], [d.train for d in kept], "at least 15")
    ratio("whole command", [d.command for d in off], [d.command for d in kept], "shown")
    ratio("train over the limit", [d.train for d in kept], limits, "at most 1.25")
    difference = (kept[0].head - off[0].head).abs().max().item()
    same = kept[0].result["test"]["top1"] == off[0].result["test"]["top1"]
    print(f"  head weights differ by {difference:.1e} (at most 1e-5), test top-1 {'equal' if same else 'DIFFERS'}")


def limit(model: str, images: int, epochs: int) -> float:
    """Seconds for one forward pass over the data and the epochs of a bare linear layer on its features."""
    registry.register()
    net = timm.create_model(model, num_classes=10).eval()
    inputs, labels = torch.randn(images, 3, 32, 32), torch.arange(images) % 10
    start = time.perf_counter()
    with torch.inference_mode():
        features = torch.cat(
            [net.forward_head(net.forward_features(each), pre_logits=True) for each in inputs.split(64)]
        )
    features = features.clone()
    layer = nn.Linear(features.shape[1], 10)
    optimizer = torch.optim.SGD(layer.parameters(), 0.05, momentum=0.9)
    for _ in range(epochs):
        for rows in torch.randperm(images).split(BATCH):
            nn.functional.cross_entropy(layer(features[rows]), labels[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
    return time.perf_counter() - start


def last_stage(bench: Bench) -> None:
    """All but the last stage and the classifier frozen."""
    words = ["model=resnet18", "model.stem=cifar", "transfer=freeze_depth", "transfer.depth=-1",
             f"data.train_size={bench.args.images // 20}", f"trainer.epochs={bench.args.epochs}"]  # fmt: skip
    kept, off = [], []
    for _ in range(bench.args.rounds):
        kept.append(bench.run(*words).train)
        off.append(bench.run(*words, "transfer.cache=off").train)
    ratio("train, cache=off over kept", off, kept, "at least 1.8")


def augmented(bench: Bench) -> None:
    """A frozen prefix under random augmentation, where nothing can be kept, and a plain loop."""
    images, epochs = bench.args.images // 5, 2
    words = ["model=resnet18", "model.stem=imagenet", "transfer=freeze_depth", "transfer.depth=-1", "augment=flip_crop",
             f"data.train_size={images}", f"trainer.epochs={epochs}"]  # fmt: skip
    ours, plain = [], []
    for _ in range(bench.args.rounds):
        done = bench.run(*words)
        ours.append(done.train)
        plain.append(plain_loop(images, epochs))
    ratio("train over a plain loop with requires_grad=False", ours, plain, "at most 1")
    frozen = done.result["frozen"]
    same = frozen["hash_start"] == frozen["hash_end"]
    print(f"  {frozen['buffers']:,} frozen BatchNorm values {'unchanged' if same else 'CHANGED'}")


def plain_loop(images: int, epochs: int) -> float:
    """Seconds of what a script does: requires_grad=False, and train() on the whole network; same images and batches."""
    from torch.utils.data import DataLoader, Dataset
    from torchvision.transforms import v2

    class Images(Dataset):
        data = torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8)
        transform = v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()])

        def __len__(self) -> int:
            return images

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return self.transform(self.data[index]), index % 10

    net = timm.create_model("resnet18", num_classes=10).train()
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name.startswith(("layer4", "fc")))
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.05, momentum=0.9)
    loader = DataLoader(Images(), BATCH, shuffle=True)  # the last batch of an epoch, too, as ours
    start = time.perf_counter()
    for _ in range(epochs):
        for batch, labels in loader:
            loss = nn.functional.cross_entropy(net(batch.float().div_(255).sub_(0.5).div_(0.25)), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return time.perf_counter() - start


def warm(bench: Bench) -> None:
    """A second run with another learning rate, on activations that the first one left on disk."""
    words = ["model=vgg16", "model.stem=imagenet", "transfer=linear_probe", f"data.train_size={bench.args.images}",
             "trainer.epochs=1", "transfer.cache=disk"]  # fmt: skip
    first, second = [], []
    for number in range(bench.args.rounds):
        folder = f"transfer.cache_dir={bench.folder / f'kept{number}'}"
        first.append(bench.run(*words, folder).first_step)
        second.append(bench.run(*words, folder, "optim.lr=0.01").first_step)
    ratio("second run's first step over the first's, from the start of the command", second, first, "at most 0.2")


def depths(bench: Bench) -> None:
    """Every depth with twelve settings each, against one linear probe of the last."""
    weights = bench.folder / "alexnet.pth"  # from a file, since random weights have no others beside them
    registry.register()
    torch.save(timm.create_model("alexnet", num_classes=10).state_dict(), weights)
    words = ["model=alexnet", f"model.weights={weights}", "data.image_size=227", "data.train_size=2000",
             f"trainer.epochs={bench.args.epochs}"]  # fmt: skip
    ours, one, beside = [], [], []
    for _ in range(bench.args.rounds):
        ours.append(bench.run(*words, "transfer=probe_depths", "transfer.random_weights=false").train)
        one.append(bench.run(*words, "transfer=linear_probe").train)
        beside.append(bench.run(*words, "transfer=probe_depths").train)
    ratio("probe_depths, 5 depths x 12 settings, over one probe", ours, one, "at most 2")
    ratio("the same with random weights beside it", beside, one, "shown")


BENCHES: dict[str, Callable[[Bench], None]] = {
    "probe_resnet18": lambda bench: probe(bench, "resnet18"),
    "probe_vgg16": lambda bench: probe(bench, "vgg16"),
    "last_stage": last_stage,
    "augmented": augmented,
    "warm": warm,
    "depths": depths,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(BENCHES), default=list(BENCHES))
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    for name in args.only:
        print(f"{name}: {(BENCHES[name].__doc__ or probe.__doc__ or '').strip()}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            BENCHES[name](Bench(Path(folder), args))
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""How many images a second each augmentation gives, a row each.

    python scripts/bench_augment.py [--device cuda] [--threads 1]

What is timed is a batch's augmentation alone, of uint8 images that are on the device; of packed images the crop too;
of `mixup` and `cutmix` that of the pairs, without reading and augmenting the partners.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

from cnntrain.augment.affine import Affine
from cnntrain.augment.base import Augment
from cnntrain.augment.flip_crop import FlipCrop
from cnntrain.augment.imagenet import ImageNet
from cnntrain.augment.none import NoAugment
from cnntrain.core.draws import Draws
from cnntrain.data.batches.preprocess import Preprocess

SIZES = {32: 512, 224: 64}  # pixels a side, images at once
SECONDS = 1.5  # a cell
OFF: dict[str, Any] = {
    "auto": None, "auto_policy": "imagenet", "rand_ops": 2, "rand_magnitude": 9, "colour_jitter": None,
    "greyscale": 0.0, "erasing": 0.0, "mixup": 0.0, "cutmix": 0.0,
}  # fmt: skip
POLICIES: dict[str, Augment] = {
    "augment=flip_crop": FlipCrop("", "auto", 4, 0.5, **OFF),
    "augment=affine": Affine("", "auto", 10.0, 0.1, 0.1, **OFF),
    "augment=imagenet data.pack_size=(8/7 of the size)": ImageNet("", "auto", 0.08, 0.5, **OFF),
}
KEYS: dict[str, dict[str, Any]] = {
    "augment.auto=trivial": {"auto": "trivial"},
    "augment.auto=rand": {"auto": "rand"},
    "augment.auto=autoaugment": {"auto": "autoaugment"},
    "augment.colour_jitter=[0.4,0.4,0.4,0.1]": {"colour_jitter": [0.4, 0.4, 0.4, 0.1]},
    "augment.greyscale=0.2": {"greyscale": 0.2},
    "augment.erasing=0.25": {"erasing": 0.25},
    "augment.mixup=0.2": {"mixup": 0.2},
    "augment.cutmix=1": {"cutmix": 1.0},
}
POLICIES |= {line: NoAugment("", "auto", **{**OFF, **keys}) for line, keys in KEYS.items()}


def work(augment: Augment, side: int, count: int, device: torch.device) -> Callable[[int], None]:
    """A function that augments a batch, of an epoch."""
    seen = Preprocess(3, side, "center", 1.0, "bilinear", [0.5] * 3, [0.25] * 3, "white")
    packed, together, mixing = augment.packed_transform(seen), augment.whole_transform(seen), augment.mixing(1000)
    stored = round(side * 8 / 7) if packed is not None else side
    images = torch.randint(0, 256, (count, stored, stored, 3), dtype=torch.uint8, device=device).permute(0, 3, 1, 2)
    sizes, labels = (torch.full(shape, 400, device=device) for shape in ((count, 2), (count,)))
    positions = torch.arange(count)

    def once(epoch: int) -> None:
        found, draws = images, Draws(0, epoch, positions.to(device))
        if packed is not None:
            found = packed(found, sizes, draws)
        if together is not None:
            found, _ = together(found, labels, draws)
        if mixing is not None:
            values = seen(found, device, torch.float32)
            mixing(values, labels, values, labels, Draws(0, epoch, positions))

    return once


def rate(once: Callable[[int], None], count: int, device: torch.device) -> float:
    """Images a second."""
    for epoch in range(2):
        once(epoch)
    batches, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        once(batches)
        batches += 1
        if device.type == "cuda":
            torch.cuda.synchronize()
    return batches * count / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    device = torch.device(asked.device)
    torch.set_num_threads(asked.threads)
    print(f"PyTorch {torch.__version__.partition('+')[0]}, {device.type}, {torch.get_num_threads()} threads\n")
    print("| | " + " | ".join(f"{side}x{side}, {count} at once" for side, count in SIZES.items()) + " |")
    print("|---|" + "---|" * len(SIZES))
    for line, augment in POLICIES.items():
        rates = (rate(work(augment, side, count, device), count, device) for side, count in SIZES.items())
        print(f"| `{line}` | " + " | ".join(f"{each:,.0f}" for each in rates) + " |", flush=True)


if __name__ == "__main__":
    main()

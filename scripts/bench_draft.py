"""What `data.jpeg_draft` gains, and what it does to pixels.

    python scripts/bench_draft.py [--images 200] [--width 2000] [--height 1500] [--size 224] [--rounds 3]

Draws so many JPEG files whose spectrum falls as that of photographs (amplitude as 1/frequency) and which have some
noise of a sensor, quality 90, and reads each to what a network sees, with all of its pixels and with fewer, in turns.
Prints the processor's milliseconds an image (the medians of the rounds), and of the resized images the largest and
the mean difference in grey levels of 255. The same differences follow for scikit-learn's two photographs, to a fifth
of their shorter side.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.sets.decode import decode

QUALITY, NOISE = 90, 4.0


def preprocess(size: int, drafted: bool) -> Preprocess:
    shown = {"crop": "center", "crop_fraction": 1.0, "interpolation": "bilinear", "background": "white"}
    return Preprocess(3, size, mean=[0.5] * 3, std=[0.5] * 3, jpeg_draft=drafted, **shown)  # type: ignore[arg-type]


def seen(path: Path, how: Preprocess) -> torch.Tensor:
    fit = how.fit
    return fit(decode(str(path), how.reading), 0)[0]


def draw(path: Path, width: int, height: int, random: np.random.Generator) -> None:
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    falling = 1 / np.maximum(np.hypot(down, across), 1 / width)
    planes = []
    for _ in range(3):
        waves = falling * np.exp(2j * np.pi * random.random(falling.shape))
        plane = np.fft.irfft2(waves, (height, width))
        planes.append(128 + 50 * plane / plane.std() + random.normal(0, NOISE, plane.shape))
    pixels = np.stack(planes, 2).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=QUALITY)


def differences(paths: list[Path], size: int) -> str:
    gaps = [
        (seen(path, preprocess(size, True)).int() - seen(path, preprocess(size, False)).int()).abs() for path in paths
    ]
    largest, mean = max(int(gap.max()) for gap in gaps), sum(float(gap.float().mean()) for gap in gaps) / len(gaps)
    return f"largest difference {largest} of 255, mean {mean:.2f}"


def spent(paths: list[Path], how: Preprocess) -> float:
    """Milliseconds of the processor for each."""
    start = time.process_time()
    for path in paths:
        seen(path, how)
    return (time.process_time() - start) * 1000 / len(paths)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 200), ("width", 2000), ("height", 1500), ("size", 224), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.jpg" for number in range(asked.images)]
        for path in paths:
            draw(path, asked.width, asked.height, random)
        turns = [
            [spent(paths, preprocess(asked.size, drafted)) for drafted in (False, True)] for _ in range(asked.rounds)
        ]
        whole, fewer = (median(each) for each in zip(*turns, strict=True))
        print(
            f"{asked.images:,} JPEG of {asked.width}x{asked.height} to {asked.size}: {whole:.1f} ms each, with "
            f"jpeg_draft {fewer:.1f} ms, {whole / fewer:.1f} times as fast; {differences(paths[:50], asked.size)}"
        )
        for name, image in zip(("china", "flower"), load_sample_images().images, strict=True):
            path, size = Path(folder) / f"{name}.jpg", min(image.shape[:2]) // 5
            Image.fromarray(image).save(path, quality=QUALITY)
            print(f"{name}.jpg of {image.shape[1]}x{image.shape[0]} to {size}: {differences([path], size)}")


if __name__ == "__main__":
    main()

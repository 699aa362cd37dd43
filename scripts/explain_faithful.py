"""How true are the maps of ``cnntrain explain`` to the network?

    python scripts/explain_faithful.py [--seeds 0 1 2] [--images 40] [--epochs 3] [--mnist <folder with MNIST/raw>]

For each seed a ResNet of eight layers is trained on canvases of 32 x 32 pixels, each with one real digit of 12 x 12
(scikit-learn's, or MNIST's) on noise and scrambled pieces of other digits; then every method of attribution is tried on
canvases with digits that the network has not seen:

- one, two: the pointing game: how often the greatest value of the map of a digit's class lies on this digit, on
  canvases with one digit, and on canvases with two, of which each is asked for;
- deletion, insertion: the area under the probability of the class while the most marked pixels are taken away, and
  while they are put into a blurred image;
- cascading, independent: Spearman's rank correlation between the maps of the trained network and of the same with
  random weights: all of it, and the mean over its groups of layers, of which one is random. A map that is true to the
  network has a low one.

``random`` are maps of random numbers. Prints a table in Markdown, mean over seeds with Student's 95% interval, and
exits with 1 where Grad-CAM points to fewer than 90% of the single digits.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor
from torchvision.datasets import MNIST

import cnntrain
from cnntrain.build.trained import Trained
from cnntrain.config.methods import method
from cnntrain.core.tables import markdown
from cnntrain.study.explain import canvases, faithfulness
from cnntrain.study.explain.base import Attribution
from cnntrain.study.explain.canvases import Canvases
from cnntrain.study.explain.hooks import undisturbed
from cnntrain.study.explain.subject import Subject
from cnntrain.study.paired.statistics import of_runs

METHODS: dict[str, dict[str, int]] = {
    **{
        each: {}
        for each in ("gradcam", "gradcam++", "layercam", "eigencam", "saliency", "guided_backprop", "deconvnet")
    },
    "smoothgrad": {"samples": 10},
    "integrated_gradients": {"steps": 16},
    "occlusion": {"window": 6, "stride": 3},
}
RANDOM = "random"
COLUMNS = ("one", "two", "deletion", "insertion", "cascading", "independent")
NET = [str(Path(__file__).parent / "nets" / "resnet8.py")]
SIZE, SIDE = 32, 12  # pixels of a canvas and of a digit
COUNTS = {"train": 5000, "val": 200, "test": 10}
CURVES, CHECKED = 24, 6  # images for curves, and for the comparison with random weights
AT_LEAST = 0.9
Map = Callable[[Subject, Tensor, Tensor], Tensor]


def real_digits(mnist: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [digits, height, width] and their labels; those of MNIST's test part, or scikit-learn's."""
    if mnist is None:
        found = load_digits()
        return np.rint(found.images * (255 / 16)).astype(np.uint8), found.target
    test = MNIST(str(mnist), train=False)
    return test.data.numpy(), test.targets.numpy()


def write(folder: Path, part: str, made: Canvases) -> None:
    for number, (image, labels) in enumerate(zip(made.images, made.labels, strict=True)):
        place = folder / part / str(labels[0])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.png")


def trained(seed: int, epochs: int, digits: np.ndarray, labels: np.ndarray, folder: Path) -> Trained:
    """On canvases of the first four fifths of the digits."""
    rng, end = np.random.default_rng([seed, 0]), len(digits) * 4 // 5
    for part, count in COUNTS.items():
        write(folder / "canvases", part, canvases.pasted(digits[:end], labels[:end], rng, count, SIZE, SIDE))
    result = cnntrain.train(
        "model=resnet8", "data=imagefolder", f"data.root={folder / 'canvases'}", "data.channels=1", "augment=none",
        "data.num_workers=0", "data.batch_size=32", "optim=adamw",
        "optim.lr=0.004", "schedule=cosine", f"trainer.epochs={epochs}", f"seed={seed}",
        f"output={folder / 'runs'}", "trainer.device=cpu", imports=NET,
    )  # fmt: skip
    print(f"seed {seed}: {result['best']['val/top1']:.1%} of val", file=sys.stderr, flush=True)
    return cnntrain.load(result["run_dir"], imports=NET, device="cpu")


def prepared(found: Trained, made: Canvases) -> Tensor:
    return torch.cat([found.preprocess(each) for each in made.images])


def mapping(name: str) -> Map:
    if name == RANDOM:
        return lambda subject, inputs, targets: torch.rand(
            len(inputs), *inputs.shape[2:], generator=torch.Generator().manual_seed(subject.seed)
        )
    chosen = method(name, METHODS[name])
    assert isinstance(chosen, Attribution)

    def maps(subject: Subject, inputs: Tensor, targets: Tensor) -> Tensor:
        with undisturbed(subject.network):
            return chosen.maps(subject, inputs, targets).values.detach()

    return maps


def scores(found: Trained, maps: Map, seed: int, one: Canvases, two: Canvases) -> Iterator[float]:
    """In the order of `COLUMNS`."""
    subject, inputs, targets = found.subject(seed=seed), prepared(found, one), torch.from_numpy(one.labels[:, 0])
    mine = maps(subject, inputs, targets)
    yield float(faithfulness.points_inside(mine, one.boxes[:, 0]).mean())
    both = prepared(found, two)
    yield float(
        np.mean(
            [
                faithfulness.points_inside(
                    maps(subject, both, torch.from_numpy(two.labels[:, each])), two.boxes[:, each]
                )
                for each in range(2)
            ]
        )
    )
    some = slice(CURVES)
    for curve in (faithfulness.deletion, faithfulness.insertion):
        yield float(curve(subject, inputs[some], targets[some], mine[some]).mean())
    few = slice(CHECKED)
    for networks in (faithfulness.cascading, faithfulness.independent):
        found_by_group = [
            faithfulness.correlation(mine[few], maps(other_than(subject, network), inputs[few], targets[few])).mean()
            for _, network in networks(subject.network, seed)
        ]
        yield float(found_by_group[-1] if networks is faithfulness.cascading else np.mean(found_by_group))


def other_than(subject: Subject, network: torch.nn.Module) -> Subject:
    """With other weights, and other random numbers, where a method draws any."""
    return replace(subject, network=network, layer=subject.at, seed=subject.seed + 1000)


def shown(values: Sequence[float]) -> str:
    interval = of_runs(values)
    mean = f"{np.mean(values):.3f}"
    return mean if interval is None else f"{mean} [{interval[0]:.2f}, {interval[1]:.2f}]"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--mnist", type=Path)
    arguments = parser.parse_args()
    digits, labels = real_digits(arguments.mnist)
    table: dict[str, list[list[float]]] = {name: [] for name in (*METHODS, RANDOM)}
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            found = trained(seed, arguments.epochs, digits, labels, Path(folder))
            start = len(digits) * 4 // 5
            rng = np.random.default_rng([seed, 1])
            unseen = partial(canvases.pasted, digits[start:], labels[start:], rng, arguments.images, SIZE, SIDE)
            one, two = unseen(), unseen(each=2)
            for name, rows in table.items():
                rows.append(list(scores(found, mapping(name), seed, one, two)))
                print(seed, name, *(f"{each:.3f}" for each in rows[-1]), file=sys.stderr, flush=True)
    lines = [[name, *(shown(column) for column in zip(*rows, strict=True))] for name, rows in table.items()]
    lines.sort(key=lambda line: -float(line[1].split()[0]))
    print(markdown("", ("method", *COLUMNS), lines, ("method",)))
    return int(np.mean([row[0] for row in table["gradcam"]]) < AT_LEAST)


if __name__ == "__main__":
    sys.exit(main())

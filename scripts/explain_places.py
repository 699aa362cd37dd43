"""Do maps of what answers rest on lie where the answer is?

    python scripts/explain_places.py <folder of a finished run> [--count 60] [--method gradcam layercam saliency]

Of a run's test part, by what it learned. Masks and boxes: how much of the positive map lies in the box of the class,
how large that box is, and how often the greatest value is in it. Signals: how often the answer stays when the quarter
of the values that ``occlusion`` marks most, as many random ones, or those that it marks least become the mean. Volumes
with a bright object: how much of the positive map lies on it, how large it is, and in each frame the map's mean on the
object, over that on the whole frame: where it is, and where it is half of the frames away.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import cnntrain
from cnntrain.build.trained import Trained
from cnntrain.config.methods import method
from cnntrain.core import dist
from cnntrain.data.sets.dataset import Part
from cnntrain.study.explain.explaining import Explained, Explanation

BRIGHT = 40  # of 255, from which on a pixel is of a volume's object


def tested(found: Trained) -> Part:
    part = found.config.data.load().test
    if part is None:
        raise SystemExit(f"{found.path}: its data have no test part")
    return part


def around(part: np.ndarray) -> np.ndarray:
    """The box of some pixels, bool as they are."""
    rows, columns = (np.flatnonzero(part.any(side)) for side in (1, 0))
    box = np.zeros_like(part)
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return box


def placed(found: Trained, name: str, count: int) -> Iterator[tuple[Explanation, np.ndarray]]:
    """Of the scenes each explanation with the box of what it is of: of masks each class that is there, whose pixels the
    data have; of boxes the surest."""
    part = tested(found)
    images = [part.images[each][0].numpy() for each in range(count)]
    subject = found.subject()
    if found.config.task.target == "boxes":
        for each in Explained(method(name, {}), subject, found.shown(images, print), "predicted", print):  # type: ignore[arg-type]
            assert each.part is not None
            yield each, each.part
        return
    assert part.targets is not None, "a segmenter's data have masks"
    masks = [np.asarray(part.targets[each]).squeeze() for each in range(count)]
    for number, label in enumerate(found.classes[1:], 1):
        having = [each for each in range(count) if (masks[each] == number).any()]
        shown = found.shown([images[each] for each in having], print)
        for each in Explained(method(name, {}), subject, shown, label, lambda line: None):  # type: ignore[arg-type]
            yield each, around(masks[having[each.position]] == number)


def scenes(found: Trained, names: Sequence[str], count: int) -> None:
    for name in names:
        inside, sizes, hits = [], [], []
        for each, box in placed(found, name, count):
            values = each.map.clip(0)
            if values.any():
                inside.append(values[box].sum() / values.sum())
                sizes.append(box.mean())
                hits.append(box.flat[values.argmax()])
        print(f"{name}, {len(inside)} maps: {np.mean(inside):.1%} of the positive map in the box, which is "
              f"{np.mean(sizes):.1%} of a scene; greatest value in it {np.mean(hits):.1%}")  # fmt: skip


def signals(found: Trained, count: int) -> None:
    part = tested(found)
    given = [part.images[each].numpy() for each in range(count)]
    marked, draws = found.explain(given, "occlusion"), np.random.default_rng(0)
    few = given[0].shape[1] // 4
    for which in ("most", "random", "least"):
        changed = []
        for signal, each in zip(given, marked, strict=True):
            order = draws.permutation(len(each.map)) if which == "random" else np.argsort(-each.map, kind="stable")
            hidden = signal.copy()
            hidden[:, order[-few:] if which == "least" else order[:few]] = np.array(found.seen.mean)[:, None]
            changed.append(hidden)
        same = [next(iter(row)) == each.target for row, each in zip(found.predict(changed), marked, strict=True)]
        print(f"{few} values, {which}: the answer stays in {np.mean(same):.1%} of {count}")


def volumes(found: Trained, names: Sequence[str], count: int) -> None:
    part = tested(found)
    given = [part.images[each][0].numpy() for each in range(count)]
    for name in names:
        inside, sizes = [], []
        here, away = list[float](), list[float]()
        keys: dict[str, Any] = {"window": 6, "stride": 3} if name == "occlusion" else {}
        for volume, each in zip(given, found.explain(given, name, **keys), strict=True):
            on, values = volume > BRIGHT, each.map.clip(0)
            if not values.any():
                continue
            inside.append(values[on].sum() / values.sum())
            sizes.append(on.mean())
            for shift, to in ((0, here), (len(on) // 2, away)):
                other = np.roll(on, -shift, 0)
                frames = [k for k in range(len(on)) if values[k].any() and other[k].any()]
                to.append(np.mean([values[k][other[k]].mean() / values[k].mean() for k in frames]))
        print(f"{name}, {len(inside)} maps: {np.mean(inside):.1%} on the object, which is {np.mean(sizes):.1%}; there "
              f"{np.mean(here):.1f} times a frame's mean, half of the frames away {np.mean(away):.1f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--method", nargs="+", default=["gradcam", "saliency"])
    asked = parser.parse_args()
    assert dist.world_size() == 1, "one process"
    found = cnntrain.load(asked.run, device="cpu")
    if found.seen.dimensions == 1:
        signals(found, asked.count)
    elif found.seen.dimensions == 3:
        volumes(found, asked.method, asked.count)
    else:
        scenes(found, asked.method, asked.count)


if __name__ == "__main__":
    main()

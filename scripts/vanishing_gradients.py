"""The gradient of each layer in the first step of runs with trainer.watch=true, as a picture and as numbers.

python scripts/vanishing_gradients.py outputs/vanishing gradients.png

Runs that differ in nothing but their seeds are one line: the median, and the range as a band.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cnntrain.core.keys import flat
from cnntrain.runs import folder

GRADIENT, WEIGHT = "gradient/", "weight/"


def by_layer(run: Path) -> dict[str, float]:
    """Of each layer, from the image on, the gradient's norm over the weight's, in the first step that was watched."""
    events = EventAccumulator(str(run / "tb")).Reload()
    names = [tag.removeprefix(GRADIENT) for tag in events.Tags()["scalars"] if tag.startswith(GRADIENT)]
    first = {name: [events.Scalars(f"{kind}{name}")[0].value for kind in (GRADIENT, WEIGHT)] for name in names}
    return {name: gradient / weight for name, (gradient, weight) in first.items()}


def main(root: str, output: str) -> None:
    groups: dict[str, list[dict[str, float]]] = {}
    for run in folder.below(Path(root)):
        config = flat(folder.config(run))
        label = f"{config['model.name']}, {config.get('model.args.act', 'relu')}"
        if found := by_layer(run):
            groups.setdefault(label, []).append(found)
    if not groups:
        sys.exit(f"{root}: there is no run with trainer.watch=true")
    figure = Figure(figsize=(9, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for label, runs in groups.items():
        values = np.array([list(each.values()) for each in runs])
        middle = np.median(values, axis=0)
        (line,) = axes.plot(middle, marker="o", markersize=3, label=f"{label} ({len(runs)})")
        axes.fill_between(range(len(middle)), values.min(0), values.max(0), color=line.get_color(), alpha=0.2)
        print(f"{label}: first layer {middle[0]:.2g}, last {middle[-1]:.2g}, ratio {middle[0] / middle[-1]:.2g}")
    axes.set_yscale("log")
    axes.set(xlabel="layer, from the image on", ylabel="gradient / weight (norms), first step")
    axes.legend(fontsize=8)
    axes.grid(color="0.9", linewidth=0.8)
    figure.savefig(output)
    print(output)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Features of images in a plane, and which images lie nearest to which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from cnntrain.core import extras
from cnntrain.core.words import CELL, printable
from cnntrain.models.features import before_classifier, pooled
from cnntrain.study import retrieval
from cnntrain.study.curves import COLOURS, MARKERS, PLAIN
from cnntrain.study.explain import tiles
from cnntrain.study.explain.base import Cloud, Picture
from cnntrain.study.explain.grouping import LABEL, Seen, look, present
from cnntrain.study.explain.subject import Shown, Subject

LEAST = 4  # images
THUMBNAIL = 48  # pixels a side
KNN = 5  # neighbours that vote
WIDE = 50  # features beyond which t-SNE is given their principal components, as its authors advise
NAMES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
NAMED = 30  # classes that a legend holds


def pictures(
    subject: Subject, shown: Shown, by: str, perplexity: float, neighbours: int, queries: int
) -> Iterator[Picture]:
    """The plane, then the neighbours of so many images.

    Args:
        by: pca, tsne or umap.
        perplexity: see `flat`.
        neighbours: that are drawn beside each of the images.

    Raises:
        InputError: too few images can be read, or the network has several classifiers.
        ConfigError: UMAP is asked for and not installed.
    """
    if by == "umap":
        extras.needed("method.by=umap", "umap", "explain")
    compute = before_classifier(subject.network) if subject.layer is None else _at_layer(subject)
    small = list[np.ndarray]()

    def features(inputs: Tensor) -> Tensor:
        small.extend(_thumbnails(subject, inputs))
        return compute(inputs)

    seen = look(subject, shown, features, LEAST, "method=embeddings")
    names = [shown.names[each] for each in seen.positions]
    places, about = flat(seen.rows, by, perplexity, subject.seed)
    facts = {"images": len(names), "features": seen.rows.shape[1], "classes_by": seen.by, **about}
    if seen.by == LABEL and len(set(seen.classes)) > 1 and len(names) > KNN:
        facts |= _by_neighbours(seen, subject.classes)
    arrays = {"features": seen.rows, "places": places, "names": np.array(names), "classes": np.array(seen.classes)}
    cloud = Cloud(seen.rows, names, seen.classes, np.stack(small))
    yield Picture(by, _plane(places, seen, subject.classes, facts), arrays, facts, cloud)
    if queries:
        yield _neighbours(seen, np.stack(small), names, neighbours, queries)


def _at_layer(subject: Subject) -> Any:
    return lambda inputs: pooled(subject.activations(inputs))


def _thumbnails(subject: Subject, inputs: Tensor) -> Iterator[np.ndarray]:
    """uint8 [side, side, 3] of each, of a volume its middle frame."""
    seen = subject.seen.undo(inputs)
    seen = seen if seen.ndim == 3 else seen.mul(255).round().byte()  # signals are drawn by their values
    seen = seen[:, :, seen.shape[2] // 2] if seen.ndim == 5 else seen
    for each in seen.cpu().numpy():
        image = Image.fromarray(np.ascontiguousarray(tiles.of_image(each)))
        yield np.asarray(image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def flat(features: np.ndarray, by: str, perplexity: float, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Places in a plane, float32 [images, 2], and what is to be told of them.

    Args:
        features: [images, features].
        by: pca, tsne or umap.
        perplexity: at most; fewer images allow for less.
    """
    from sklearn.decomposition import PCA

    count = len(features)
    if by == "pca":
        analysis = PCA(2, random_state=seed)
        places = analysis.fit_transform(features)
        return places.astype(np.float32), {"by": by, "explained_variance": analysis.explained_variance_ratio_.tolist()}
    if by == "umap":
        neighbours = max(2, min(round(perplexity), count - 1))
        return _umap(features, neighbours, seed), {"by": by, "neighbours_looked_at": neighbours}
    from sklearn.manifold import TSNE

    some = min(WIDE, count, features.shape[1])
    shown = PCA(some, random_state=seed).fit_transform(features) if features.shape[1] > WIDE else features
    perplexity = min(perplexity, (count - 1) / 3)
    places = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(shown)
    return places.astype(np.float32), {"by": by, "perplexity": perplexity}


def _umap(features: np.ndarray, neighbours: int, seed: int) -> np.ndarray:
    umap = extras.needed("method.by=umap", "umap", "explain")
    start = "spectral" if len(features) > 2 * LEAST else "random"  # a spectrum needs more points than dimensions
    reducer = umap.UMAP(n_neighbors=neighbours, init=start, random_state=seed, n_jobs=1)
    places: np.ndarray = reducer.fit_transform(features)
    return places.astype(np.float32)


def _by_neighbours(seen: Seen, classes: Sequence[str]) -> dict[str, Any]:
    """How often the nearest others are of an image's class, of those images whose class has others."""
    labels = np.array([classes.index(each) for each in seen.classes])
    has_others = np.bincount(labels)[labels] > 1
    if not has_others.any():
        return {}
    right = retrieval.right_by_neighbours(retrieval.unit(seen.rows), labels, KNN)[has_others]
    return {"neighbours_accuracy": float(right.mean()), "neighbours": KNN, "neighbours_of": len(right)}


def _plane(places: np.ndarray, seen: Seen, order: Sequence[str], facts: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(8.5, 6), dpi=110, layout="constrained")
    axes = figure.subplots()
    classes, groups = np.array(seen.classes), present(seen.classes, order)
    size = float(np.clip(5000 / len(places), 14, 70))  # a few points are large enough for their colours to be told
    wrong = np.array([a != b for a, b in zip(seen.answers, seen.classes, strict=True)])
    for number, each in enumerate(groups):
        x, y = places[classes == each].T
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number // len(COLOURS) % len(MARKERS)]
        label = f"{printable(each, CELL)} ({len(x)})"
        axes.scatter(x, y, s=size, alpha=0.75, linewidths=0, label=label, color=colour, marker=marker)
    if wrong.any():
        x, y = places[wrong].T
        label = f"answered wrongly ({len(x)})"
        axes.scatter(x, y, s=2 * size, facecolors="none", edgecolors="black", linewidths=0.7, label=label)
    if len(groups) <= NAMED:
        for text in figure.legend(loc="outside right upper", fontsize=8, frameon=False).get_texts():
            text.set_parse_math(False)
    title = f"{NAMES[facts['by']]} of {facts['features']} features of {facts['images']:,} images, classes by {seen.by}"
    if "neighbours_accuracy" in facts:
        title += f"; the {KNN} nearest others tell the class of {facts['neighbours_accuracy']:.1%}"
    axes.set_title(title, fontsize=9, **PLAIN)
    axes.set(xticks=[], yticks=[])
    return figure


def _neighbours(seen: Seen, small: np.ndarray, names: Sequence[str], most: int, queries: int) -> Picture:
    """A row an image: itself, then the others with the greatest cosine."""
    unit = retrieval.unit(seen.rows)
    count = len(unit)
    asked = np.unique(np.linspace(0, count - 1, min(queries, count)).round().astype(int))
    found, cosines = retrieval.nearest(unit, unit[asked], min(most, count - 1), asked)
    pictures, labels = [], []
    for query, rows, values in zip(asked, found, cosines, strict=True):
        pictures += [small[query], *small[rows]]
        labels += [seen.classes[query], *(f"{seen.classes[r]}\n{v:.3f}" for r, v in zip(rows, values, strict=True))]
    figure = tiles.figure(pictures, labels, 1 + found.shape[1], "an image, and the nearest others by cosine")
    table = [
        {"image": names[query], "nearest": [names[row] for row in rows], "cosines": values.tolist()}
        for query, rows, values in zip(asked, found, cosines, strict=True)
    ]
    return Picture("neighbours", figure, {}, {"queries": table})

"""``cnntrain embed``: features of images, images that are like one, and how well features tell folders apart."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnntrain.config.model import Model
from cnntrain.config.schema import Command, Ended
from cnntrain.core import plain_json, tables
from cnntrain.core.errors import InputError
from cnntrain.core.limits import Count, Place, Whole
from cnntrain.core.words import tell

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from cnntrain.build.trained import Trained


@dataclass(frozen=True)
class Embed(Command):
    """Of a run's network, or of one with published weights."""

    run: Place | None
    model: Model | None
    images: Place | None
    output: Place | None
    layer: str | None
    query: Place | None
    knn: bool
    k: Count
    format: Literal["table", "json"]
    batch_size: Count | None
    num_workers: Whole | None
    device: Literal["auto", "cpu", "cuda"]
    runs: Place  # where the latest run is looked for

    def __post_init__(self) -> None:
        if (self.run is None) == (self.model is None):
            raise ValueError("give one of run=<run folder> and model=<model>, whose weights are published or a file's")
        if self.images is None:
            raise ValueError("images is required: images=<file, folder, pattern, table *.csv or ->")
        if self.output is None and self.query is None and not self.knn:
            raise ValueError("give output=<file>.parquet, query=<file> or knn=true, or several of them")

    def execute(self, typed: Sequence[str]) -> Ended:
        """Compute the features of all images; the exit code is 1 where one cannot be read."""
        from cnntrain.build import embedding, predicting, reading

        assert self.images is not None
        found = self._network()
        for note in found.notes:
            tell(note, sys.stderr)
        compute = embedding.features(found.network, self.layer)
        asked = None if self.query is None else self._features_of(found, compute, self.query)
        files, inputs = predicting.named(found, self.images)
        seen = _Kept([], [])
        with self._written() as write:

            def keep(columns: dict[str, Any]) -> None:
                write(columns)
                if self.knn or asked is not None:
                    seen.files.extend(columns["image"])
                    seen.rows.append(columns["features"])

            batches = found.through(compute, inputs(found))
            ended = reading.each_batch(files, batches, _columns, keep, self.output)
        if seen.rows and ended.code in (0, 1):
            self._show(seen, asked)
        return ended

    def _network(self) -> Trained:
        from cnntrain.build import embedding, reading
        from cnntrain.core import dist

        device = dist.pick_device(self.device)
        adjust = reading.adjusting(self.device, self.batch_size, self.num_workers)
        if self.model is not None:
            return embedding.published(self.model, device, adjust)
        return reading.members([str(self.run)], self.runs, device, adjust)[0]

    def _features_of(self, found: Trained, compute: Callable[[Tensor], Tensor], file: str) -> np.ndarray:
        from cnntrain.build import predicting

        names, inputs = predicting.named(found, file)
        if len(names) != 1:
            raise InputError(f"query={file}: holds {len(names):,}, and one is asked for")
        ((rows, problems),) = found.through(compute, inputs(found))
        if problems[0]:
            raise InputError(f"query={file}: {problems[0]}")
        features: np.ndarray = rows.numpy()
        return features

    @contextmanager
    def _written(self) -> Iterator[Callable[[dict[str, Any]], None]]:
        from cnntrain.runs import rows

        if self.output is None:
            yield lambda columns: None
            return
        with rows.parquet(self.output) as write:
            yield write

    def _show(self, seen: _Kept, asked: np.ndarray | None) -> None:
        """The nearest images to the query, and the accuracy of the nearest neighbours."""
        import numpy as np

        from cnntrain.study import retrieval

        features, facts = retrieval.unit(np.concatenate(seen.rows)), dict[str, Any]()
        if asked is not None:
            same = [number for number, each in enumerate(seen.files) if _is_same(each, str(self.query))]
            but = np.array(same[:1] or [-1])
            k = min(self.k, len(features) - len(same[:1]))
            places, cosines = retrieval.nearest(features, retrieval.unit(asked), k, but)
            files = [seen.files[each] for each in places[0]]
            facts["nearest"] = [
                {"image": file, "cosine": float(cosine)} for file, cosine in zip(files, cosines[0], strict=True)
            ]
        if self.knn:
            facts["knn"] = self._accuracy(features, seen.files)
        if self.format == "json":
            print(plain_json.text(facts), flush=True)
            return
        if asked is not None:
            lines = [[f"{each['cosine']:.4f}", each["image"]] for each in facts["nearest"]]
            print(tables.table(f"nearest to {self.query}", ("cosine", "image"), lines, ("image",)), end="", flush=True)
        if self.knn:
            found, (low, high) = facts["knn"], facts["knn"]["interval"]
            tell(
                f"{found['k']} nearest neighbours, the image itself left out: {found['accuracy']:.2%} right "
                f"[{100 * low:.1f}, {100 * high:.1f}], {found['count']:,} images of {found['classes']} folders"
            )

    def _accuracy(self, features: np.ndarray, files: Sequence[str]) -> dict[str, Any]:
        import numpy as np

        from cnntrain.core import intervals
        from cnntrain.study import retrieval

        classes, labels = np.unique([_label(each) for each in files], return_inverse=True)
        if len(classes) < 2:
            raise InputError(f"knn=true: all images are in folders called {str(classes[0])!r}, which are their classes")
        k = min(self.k, len(files) - 1)
        accuracy = float(retrieval.right_by_neighbours(features, labels, k).mean())
        interval = intervals.of_proportion(accuracy, len(files))
        return {"accuracy": accuracy, "interval": interval, "k": k, "count": len(files), "classes": len(classes)}


@dataclass(frozen=True)
class _Kept:
    """Features in memory, float32 [images, features] a batch, and their files."""

    files: list[str]
    rows: list[np.ndarray]


def _columns(files: Sequence[str], rows: Tensor) -> dict[str, Any]:
    return {"image": list(files), "label": [_label(each) for each in files], "features": rows.numpy()}


def _label(file: str) -> str:
    return Path(os.path.abspath(file)).parent.name


def _is_same(file: str, other: str) -> bool:
    return os.path.abspath(file) == os.path.abspath(other)

"""The features of images as points in a plane: PCA, t-SNE (van der Maaten and Hinton 2008, JMLR 9) or UMAP (McInnes et
al. 2018, arXiv:1802.03426)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cnntrain.config.method import EVERY
from cnntrain.core.limits import Count, Positive, Whole
from cnntrain.study.explain.base import Picture, Pictures

if TYPE_CHECKING:
    from cnntrain.study.explain.subject import Shown, Subject


@dataclass(frozen=True)
class Embeddings(Pictures):
    """What the classifier is given, or with a layer the means of its channels; and which images lie nearest."""

    dimensions = EVERY
    uses_layer = True
    has_layer = False

    by: Literal["pca", "tsne", "umap"]
    perplexity: Positive  # of t-SNE, and the neighbours that UMAP looks at
    neighbours: Count  # that are drawn beside an image
    queries: Whole  # images whose neighbours are drawn

    def pictures(self, subject: Subject, shown: Shown) -> Iterator[Picture]:
        """Raises InputError where fewer than four images can be read, ConfigError where UMAP is not installed."""
        from cnntrain.study.explain import cloud

        yield from cloud.pictures(subject, shown, self.by, self.perplexity, self.neighbours, self.queries)

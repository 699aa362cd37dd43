"""Linear classifiers at every depth, trained side by side, with many rates and decays each, from one forward pass.

The protocol of Zhang et al. 2016 (arXiv:1603.08511) and Gidaris et al. 2018 (arXiv:1803.07728): the map of each layer
is pooled to about equally many features, and the accuracy of a linear classifier on them tells what the layer knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from cnntrain.core.limits import Count, NotNegative, Positive
from cnntrain.transfer.base import Finished
from cnntrain.transfer.linear_probe import LinearProbe

if TYPE_CHECKING:
    from torch import Tensor, nn

REFERENCES = ("knn", "logistic")


@dataclass(frozen=True)
class ProbeDepths(LinearProbe):
    one_label = True
    fixed = ("name", "features", "pool", "normalize", "lr_grid", "decay_grid", "random_weights")  # what the banks are

    features: Count  # about so many of each depth
    pool: Literal["max", "avg"]
    normalize: bool  # features are standardised
    lr_grid: list[Positive]  # multiples of optim.lr, each with each of decay_grid
    decay_grid: list[NotNegative]  # multiples of optim.weight_decay
    random_weights: bool
    references: list[str]
    neighbors: Count  # of the reference knn

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("lr_grid", "decay_grid"):
            values = getattr(self, key)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{key} must have one number or more, each once, not {values}")
        if unknown := set(self.references) - set(REFERENCES):
            raise ValueError(f"references can be {' and '.join(REFERENCES)}, not {', '.join(sorted(unknown))}")

    @property
    def side_by_side(self) -> bool:
        return True

    def prepare(self, model: nn.Module, image: Tensor, make_random: Callable[[], nn.Module] | None) -> nn.Module:
        """Banks of classifiers on the pooled maps of `model`, and of one of its kind with random weights."""
        from cnntrain.transfer.probing.probes import DepthFeatures, Probes

        classes: Any = model.num_classes
        random = None
        if self.random_weights and make_random is not None:
            random = DepthFeatures(make_random(), image, self.features, self.pool)
        backbone = DepthFeatures(model, image, self.features, self.pool)
        return Probes(backbone, random, classes, list(product(self.lr_grid, self.decay_grid)), self.normalize)

    def rate_multipliers(self, model: nn.Module, head: set[str]) -> dict[str, float]:
        rates = super().rate_multipliers(model, head)
        return {name: rate * self._setting(model).get(name, (1.0, 1.0))[0] for name, rate in rates.items()}

    def decay_multipliers(self, model: nn.Module) -> dict[str, float]:
        return {name: decay for name, (_, decay) in self._setting(model).items()}

    def conclude(self, run: Finished) -> dict[str, Any]:
        """Accuracy by depth, each with the setting that is best on val: shown, drawn and kept as ``probes``."""
        from cnntrain.transfer.probing import accuracy_by_depth

        run = replace(run, lr=run.lr * self.head_lr_multiplier)
        return {"probes": accuracy_by_depth.conclude(run, self.references, self.neighbors)}

    @staticmethod
    def _setting(model: nn.Module) -> dict[str, tuple[float, float]]:
        """The entry of the grid for each trained parameter; none where `model` was not prepared, as in a summary."""
        from cnntrain.transfer.probing.probes import Probes

        return model.settings() if isinstance(model, Probes) else {}

"""The table of errors: how far training is from people, val from training, test from val, and what each advises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import hypot
from typing import Any

from cnntrain.core.intervals import of_proportion

PARTS = ("train", "val", "test")
ADVICE = {
    "avoidable bias": (
        "a larger model=, more trainer.epochs, another optim.lr, less of what regularises (optim.weight_decay, "
        "augment=, model.drop_rate)"
    ),
    "variance": (
        "more training images (curve=true tells whether), augment=, optim.weight_decay, model.drop_rate, "
        "model.pretrained=true"
    ),
    "overfitting to val": "a larger val part (data.split), or fewer choices by it",
}
NOTHING = "none of them is clear of 0: these images cannot tell what is worth changing"


@dataclass(frozen=True)
class Gap:
    """A difference of two errors in a row.

    Attributes:
        points: fraction by which the latter is larger.
        interval: of 95%, as far as the images tell (Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<873,
            method 10: Wilson's intervals put together).
    """

    name: str
    points: float
    interval: tuple[float, float]
    advice: str

    @property
    def is_clear(self) -> bool:
        """Whether it is more than chance."""
        return self.interval[0] > 0


def table(errors: Mapping[str, tuple[float, int]], human: float | None) -> dict[str, Any]:
    """The errors with their intervals, and the gaps between them, as plain values.

    Args:
        errors: by part, a fraction and of how many images; ``train`` and ``val``, perhaps ``test``.
        human: the error that cannot be avoided, as a fraction; None: unknown, so that all of training's counts.

    Returns:
        ``errors``, ``gaps``, and ``advice`` on the largest gap that is clear of 0.
    """
    known = {part: errors[part] for part in PARTS if part in errors}
    within = {part: of_proportion(error, count) for part, (error, count) in known.items()}
    gaps = [_gap("avoidable bias", (human or 0.0, [human or 0.0] * 2), (known["train"][0], within["train"]))]
    for name, before, after in (("variance", "train", "val"), ("overfitting to val", "val", "test")):
        if after in known:
            gaps.append(_gap(name, (known[before][0], within[before]), (known[after][0], within[after])))
    largest = max((each for each in gaps if each.is_clear), key=lambda each: each.points, default=None)
    return {
        "human": human,
        "errors": {
            part: {"error": error, "count": count, "interval": within[part]} for part, (error, count) in known.items()
        },
        "gaps": [{**asdict(each), "interval": list(each.interval), "clear": each.is_clear} for each in gaps],
        "advice": NOTHING if largest is None else f"{largest.name} is the largest: {largest.advice}",
    }


def _gap(name: str, before: tuple[float, list[float]], after: tuple[float, list[float]]) -> Gap:
    """Args: each an error and its interval; of what is known for sure both ends are the error."""
    (a, (a_low, a_high)), (b, (b_low, b_high)) = before, after
    points = b - a
    return Gap(
        name, points, (points - hypot(b - b_low, a_high - a), points + hypot(b_high - b, a - a_low)), ADVICE[name]
    )

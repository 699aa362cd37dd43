"""What a task is: what is minimised, what is summed, and what stands in every table. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from cnntrain.core.errors import InputError
from cnntrain.core.targets import Target

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cnntrain.tasks.comparison import Comparison
    from cnntrain.tasks.score import Score

PARTS = ("train", "val", "test")
LOSS = "loss"


@dataclass(frozen=True)
class Column:
    """A metric: its name in files, where fractions are fractions, and how people read it.

    Attributes:
        title: in a table.
        words: in a sentence or at an axis.
        percent: whether people read it in percent.
        complement: the name of one minus it, if that has one.
        is_share: whether it is the share of samples that are right, so that its interval is that of a proportion.
        in_training: whether training steps have it too; else an evaluation alone, which sees all samples at once.
        trivial_up_to: so many classes: with no more than these it is the same whatever is guessed, and is not shown.
    """

    name: str
    title: str
    words: str
    percent: bool = False
    greater_is_better: bool = True
    complement: str | None = None
    trivial_up_to: int = 0
    is_share: bool = False
    in_training: bool = True

    def text(self, value: float) -> str:
        return f"{value:.2%}" if self.percent else f"{value:.4f}"

    @property
    def complementary(self) -> Column | None:
        """That of one minus the metric: an accuracy's error."""
        if self.complement is None:
            return None
        name = self.complement
        return Column(name, name, name, self.percent, not self.greater_is_better, complement=self.name)


class UnchosenError(InputError):
    """Of networks side by side none is chosen yet."""

    def __init__(self) -> None:
        super().__init__("the run had no validation yet, which chooses among its settings")


class Metrics(dict[str, float]):
    """A value for each column, over the samples that were added, and their ``count``."""

    @property
    def per_setting(self) -> Sequence[Mapping[str, float]]:
        """Those of each of several networks that are judged at once; of one its own."""
        return [self]

    def of(self, part: str) -> dict[str, float]:
        """Under their names in files, such as ``val/top1``; without the count."""
        return {f"{part}/{name}": value for name, value in self.items() if name != "count"}

    def chosen_by(self, best: Mapping[str, float] | None) -> dict[str, float]:
        """What is reported where ``best`` are the values of the best epoch, which may have chosen among several."""
        return dict(self)


class Totals(Protocol):
    """Running sums over samples, kept on the device so that no step waits for them."""

    def add(self, loss: Tensor, judged: Any, targets: Any) -> None:
        """Add a batch, with its mean loss."""
        ...

    def reduced(self) -> list[float]:
        """The sums over all ranks, as numbers: what a checkpoint keeps. All ranks call this."""
        ...

    def load(self, sums: list[float]) -> None:
        """Take over sums that `reduced` gave."""
        ...

    def mean_loss(self) -> float:
        """Of this rank's samples."""
        ...

    def metrics(self) -> Metrics:
        """Over all ranks' samples. All ranks call this."""
        ...


class Objective(Protocol):
    """A task at work. One that answers to no image says ``has_answers = False``; `each_loss` and `answers` are then not
    asked for."""

    def loss(self, outputs: Any, targets: Any) -> tuple[Tensor, Any]:
        """What training minimises, and what of the outputs is judged."""
        ...

    def plain_loss(self, outputs: Any, targets: Any) -> tuple[Tensor, Any]:
        """What an evaluation reports as its loss, and what of the outputs is judged."""
        ...

    def each_loss(self, judged: Any, targets: Any) -> Tensor:
        """The plain loss of each sample, [batch], of what is judged."""
        ...

    def answers(self, judged: Any, targets: Any) -> Tensor:
        """What is kept of the answer to each sample, [batch, ...]: the logits, or what every figure follows from."""
        ...

    def totals(self, device: torch.device) -> Totals:
        """Of training steps."""
        ...

    def judged(self, device: torch.device) -> Totals:
        """Of an evaluation, with a value for each column."""
        ...


@dataclass(frozen=True)
class Task:
    """The keys that every task has. A task is a subclass in a file of its own.

    `columns` are its metrics, the one that people look at first being the first, and its loss the last; some are of an
    evaluation alone. `fixed` are
    keys of its own that a run under way cannot change, since the form or the meaning of what a checkpoint holds depends
    on them. `target` is what it learns of an image, which the data must give and the network must answer.
    """

    fixed: ClassVar[tuple[str, ...]] = ()
    target: ClassVar[Target] = "label"

    name: str

    @property
    def columns(self) -> Sequence[Column]:
        raise NotImplementedError

    @property
    def offered(self) -> Sequence[str]:
        """Names of further metrics, that `columns` have where ``task.metrics`` lists them."""
        return ()

    def settled(self) -> Self:
        """The task as a run keeps it: files that it names are found from whatever folder."""
        return self

    def start(
        self, label_smoothing: float, aux_weight: float, class_weights: Sequence[float] | None = None
    ) -> Objective:
        """The task at work.

        Args:
            label_smoothing: of the training loss alone.
            aux_weight: of auxiliary outputs' losses, in training alone.
            class_weights: one a class, of the training loss alone; None: all count alike.
        """
        raise NotImplementedError

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of logits [..., classes] those of the classes."""
        return logits.softmax(-1)

    def score(self, outputs: Any, classes: int, temperature: float | None = None) -> Score:
        """What of answers is explained.

        Args:
            outputs: of the network for images as they are.
            temperature: see there; None: 1.
        """
        from cnntrain.tasks.score import WholeScore

        return WholeScore(outputs, lambda logits: self.probabilities(logits.double() / (temperature or 1.0)))

    def comparison(self, temperature: float) -> Comparison:
        """By which the answers of two networks to the same samples are held against each other.

        Args:
            temperature: by which logits are divided before they are probabilities.
        """
        from cnntrain.tasks.comparison import OfProbabilities

        return OfProbabilities(lambda logits: self.probabilities(logits / temperature))

    def majority(self, targets: Any) -> float | None:
        """The first column's value of the one answer to all samples that is right most often, without a look at any:
        what a network has to beat. None where there is no such answer.

        Args:
            targets: of the samples, as their set has them.
        """
        return None

    def temperature(self, logits: Any, labels: Any) -> float | None:
        """By which the logits of samples that a network was not trained on are divided for the likeliest probabilities;
        None where there is no such.

        Args:
            logits, labels: as `Predictions` has them.
        """
        return None

    def intervals(self, values: Mapping[str, float], answers: Any) -> dict[str, list[float]]:
        """Of each column that has one the interval of 95%, low and high.

        Args:
            values: of the columns, and ``count``.
            answers: of which they are, on rank 0; None on the others.
        """
        return intervals(self.columns, values)

    def made_up(self, count: int, classes: int, side: int, device: torch.device) -> Any:
        """Targets of so many made-up images, by which the speed of a training is measured."""
        import torch

        return torch.arange(count, device=device) % classes

    def column(self, metric: str) -> Column | None:
        """That of a metric such as ``val/top1``; None where the task has no such one."""
        part, _, name = metric.partition("/")
        found = {each.name: each for each in self.columns}
        return found.get(name) if part in PARTS else None


def intervals(columns: Sequence[Column], values: Mapping[str, float]) -> dict[str, list[float]]:
    """Of each share among the columns the interval of 95%, low and high, as far as ``count`` samples tell; none of no
    samples."""
    from cnntrain.core.intervals import of_proportion

    count = int(values["count"])
    return {each.name: of_proportion(values[each.name], count) for each in columns if each.is_share and count}


def is_better(column: Column, value: float, other: float) -> bool:
    """Whether `value` is better than `other`; what is no number is never better, and always worse."""
    if not isfinite(value) or not isfinite(other):
        return isfinite(value) and not isfinite(other)
    return value > other if column.greater_is_better else value < other

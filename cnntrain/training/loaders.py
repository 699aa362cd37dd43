"""A loader for each part of a data set, and the plans by which it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cnntrain.data.batches.feed import Batch
from cnntrain.data.batches.holding import Holder
from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.plan import WHOLE, Plan, Share, Steps, eval_plan, train_plan
from cnntrain.data.batches.preprocess import Preprocess

EVALUATED = 4  # training batches at once in an evaluation on a GPU


@dataclass
class Loaders:
    """A loader for each part, and what all of them share.

    Attributes:
        holder: of images that are kept in memory.
        batch_size: samples an optimizer step; the last of an epoch may have others.
        least: samples that a share of a step must have.
        seed: of the order of the training samples.
        window: of that order; see `shuffled`.
        balance: whether an epoch shows each class equally often.
    """

    train: Loader
    val: Loader
    test: Loader | None
    share: Share
    preprocess: Preprocess
    holder: Holder
    batch_size: int
    least: int
    seed: int
    window: int | None
    balance: bool

    def part(self, name: str) -> Loader:
        loader: Loader | None = getattr(self, name)
        assert loader is not None, f"this data set has no {name} part"
        return loader

    @property
    def workers(self) -> int:
        """Processes that read images for a loader, where one has any."""
        return max(each.source.workers for each in (self.train, self.val))

    def hold(self, parts: Sequence[str], passes: int, say: Callable[[str], None], heed: Callable[[], None]) -> None:
        """Let what is read so many times be read once, where it fits into memory; see `Holder.hold`."""
        self.holder.hold({name: self.part(name) for name in parts}, passes, say, heed)

    @property
    def steps(self) -> Steps:
        """Of an epoch."""
        return Steps(len(self.train.samples), self.batch_size, self.share.ranks * self.share.pieces, self.least)

    @property
    def steps_per_epoch(self) -> int:
        return len(self.steps.ends)

    def train_plan(self, epoch: int, done: int = 0, most: int | None = None) -> Plan:
        """This rank's micro-batches of an epoch, `share.pieces` to an optimizer step.

        Args:
            done: steps of the epoch that are left out, being done.
            most: steps, at most.
        """
        plan = self._train_plan(epoch, self.share)
        pieces = self.share.pieces
        return plan[done * pieces : None if most is None else (done + most) * pieces]

    def _train_plan(self, epoch: int, share: Share) -> Plan:
        labels = self.train.samples.part.labels if self.balance else None
        return train_plan(self.steps, self.seed, epoch, share, self.window, labels)

    def step_ids(self, epoch: int, step: int) -> list[str]:
        """The training images of an epoch's step, over all ranks."""
        ids = self.train.samples.part.ids
        (positions,) = self._train_plan(epoch, WHOLE)[step : step + 1]
        return [ids[position] for position in positions.tolist()]

    def eval_plan(self, name: str) -> Plan:
        """This rank's batches of a part: over all ranks each sample once.

        An evaluation keeps no activations: on a GPU, where more at once are faster, there is room for larger batches.
        """
        loader = self.part(name)
        times = EVALUATED if loader.device.type == "cuda" else 1
        return eval_plan(len(loader.samples), times * self.batch_size, self.share)

    def eval_batches(self, name: str) -> Iterator[Batch]:
        """This rank's batches of a part's images."""
        return self.part(name).batches(self.eval_plan(name))

    def notes(self, asked: int) -> list[str]:
        """Lines for the user on the batch size, of which `asked` is the configured one."""
        steps, notes = self.steps, []
        if self.balance:
            counts = np.unique(self.train.samples.part.labels, return_counts=True)[1]
            each = steps.count / len(counts)
            notes.append(
                f"note: data.balance: an epoch shows {each:,.0f} images of each class, which has "
                f"{counts.min():,} to {counts.max():,}"
            )
        if self.batch_size != asked:
            notes.append(f"note: the training part is smaller than data.batch_size={asked}")
        if steps.is_merged:
            notes.append(
                f"note: the last images of an epoch, {steps.over - steps.left}, go into the step before: "
                f"{steps.over // steps.shares} at once is too few for BatchNorm"
            )
        if steps.left:
            notes.append(
                f"note: an epoch leaves out {steps.left} of {steps.count:,} images, others each time: devices x "
                f"trainer.grad_accum = {steps.shares} share each step equally"
            )
        return notes

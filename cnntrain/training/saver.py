"""When a run is written into its folder: often enough to lose little, seldom enough to cost little."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from cnntrain.core import dist
from cnntrain.core.errors import RunError
from cnntrain.core.files import link
from cnntrain.runs import checkpoint, generations
from cnntrain.runs import folder as folders
from cnntrain.training.behind import Behind
from cnntrain.training.soundness import has_sound_weights
from cnntrain.training.state import State


class Saver:
    """Writes ``last.ckpt`` and ``best.ckpt`` of one run, in at most a share of its time.

    A checkpoint holds frozen weights too, so that it needs no other file: writing it can take far longer than an epoch
    of the few that are trained. An epoch that ends too soon after the last write is not written; of the best one what
    is trained is then copied and waits in memory. What is on disk is always a state that an exact resume continues
    from, and the best up to it. So is what ``config.yaml`` says: that of a resume is written with its first checkpoint.

    While training goes on, a state is copied between two steps, and hashed and written in a thread. There is one write
    at a time: the next waits for it, and so does whatever ends the training or releases what is frozen. What fails
    there is raised in the training.
    """

    def __init__(
        self,
        folder: Path,
        state: State,
        share: float,
        keep: int,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Args:
        folder: of a new run, or of the one whose last checkpoint is the `state`.
        share: of the run's time that writing may take.
        keep: how many pairs of checkpoints, the newest included.

        Raises:
            InputError: best.ckpt is damaged.
        """
        self.folder = folder
        self.state = state
        self.share = share
        self.keep = keep
        self.clock = clock
        self._best: dict[str, Any] | None = None  # the best epoch's state, where it is not on disk
        self._not_before = 0.0  # by the clock
        self._behind = Behind()  # while it is busy the fields below, and the best state, are its own
        # the progress that last.ckpt holds
        self._written = asdict(state.progress) if (folder / checkpoint.LAST).exists() else None
        self._is_described = self._written is None  # whether config.yaml is that of the state
        self._forget_lost()

    def epoch_done(self, improved: bool) -> None:
        """Begin to write the state, or keep it where it is the best so far; all ranks call this.

        Raises:
            RunError: the disk is full or cannot be written, at this write or the one before; the files that were there
                are intact.
        """
        due = dist.from_first(self._is_due)
        if improved and dist.rank() == 0:
            self._behind.wait()  # of two states that wait one would be lost
            self._best = self._copied(self.state.state_dict())
        if due:
            self.begin_write(None)

    def begin_write(self, sums: list[float] | None) -> None:
        """Copy the present state, unless it is on disk, and let it be written with the best one; all ranks call this.

        Args:
            sums: of the epoch under way, over all ranks; None between epochs.

        Raises:
            RunError: the write before this one has failed, or weights are no numbers; the files that were there are
                intact.
        """
        self.state.progress.sums = sums
        dist.from_first(self._begin)

    def write(self, sums: list[float] | None) -> None:
        """Write the present state, unless it is on disk, and the best one; all ranks call this.

        Args:
            sums: of the epoch under way, over all ranks; None between epochs.

        Raises:
            RunError: the disk is full or cannot be written, or weights are no numbers; the files that were there are
                intact.
        """
        self.state.progress.sums = sums
        dist.from_first(self._write)

    def settle(self) -> None:
        """Write what waits, before something that was frozen is changed; all ranks call this."""
        dist.from_first(self._behind.wait)
        if dist.any_rank(self._best is not None):
            self.write(None)

    def check(self) -> None:
        """Raises RunError where a write beside the training has failed."""
        self._behind.check()

    def fail(self) -> None:
        """Make the best epoch the last where it waits in memory: what came after it is of no use. All ranks call it."""
        if dist.rank() > 0:
            return
        try:
            self._behind.wait()
        finally:
            if self._best is not None:
                self._put(None, self.clock())

    def close(self) -> None:
        """Wait for the write under way, whatever ends the training; raises RunError where it fails."""
        self._behind.close()

    def _forget_lost(self) -> None:
        """Where a crash between two writes left another best.ckpt than last.ckpt names, the next epoch is the best."""
        last, best = self.folder / checkpoint.LAST, self.folder / checkpoint.BEST
        progress = self.state.progress
        if progress.best is None or (best.exists() and best.samefile(last)):
            return
        if not best.exists() or checkpoint.load_run(best)["progress"]["best"] != progress.best:
            progress.best = None

    def _make_room(self) -> None:
        """What comes before a checkpoint is replaced."""
        generations.keep(self.folder, self.keep)
        if not self._is_described:
            folders.describe(self.folder, self.state.about["config"], self.state.about["imports"])
            self._is_described = True

    def _write_best(self, state: dict[str, Any]) -> None:
        checkpoint.save(self.folder / checkpoint.BEST, state)
        link(self.folder / checkpoint.BEST, self.folder / checkpoint.LAST)

    def _is_due(self) -> bool:
        if self._behind.is_busy and self.share < 1:
            return False  # it takes its share still
        return self.clock() >= self._not_before

    def _begin(self) -> None:
        start, last = self._unwritten()
        if last is not None:
            last = self._copied(last)
        self._behind.begin(lambda: self._put(last, start))

    def _write(self) -> None:
        start, last = self._unwritten()
        self._put(last, start)

    def _unwritten(self) -> tuple[float, dict[str, Any] | None]:
        """When the write began, once nothing else is written; and the state, where neither a file nor the best state
        that waits is of it."""
        self._behind.wait()
        start = self.clock()
        if not has_sound_weights(self.state.model):
            raise RunError(f"weights are nan or infinite after step {self.state.progress.step}: lower optim.lr")
        written = self._written if self._best is None else self._best["progress"]
        return start, None if written == asdict(self.state.progress) else self.state.state_dict()

    def _put(self, last: dict[str, Any] | None, start: float) -> None:
        """Write the best state, where it waits, and then the last one."""
        if self._best is not None or last is not None:
            self._make_room()
        if self._best is not None:
            self._write_best(self._best)
            self._written, self._best = self._best["progress"], None
        if last is not None:
            checkpoint.save(self.folder / checkpoint.LAST, last)
            self._written = last["progress"]
        self._not_before = start + (self.clock() - start) / self.share

    def _copied(self, state: dict[str, Any]) -> dict[str, Any]:
        """A state that later steps do not change, in the computer's memory; what is frozen is not copied."""
        still = self.state.freezing.values().keys()
        networks = {key: state[key] for key in ("model", "ema") if state[key] is not None}
        copied = {
            key: {name: value if name in still else _copy(value) for name, value in tensors.items()}
            for key, tensors in networks.items()
        }
        return _copy({key: value for key, value in state.items() if key not in copied}) | copied


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _copy(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copy(each) for each in value)
    return value

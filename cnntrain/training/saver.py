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
from cnntrain.training.soundness import has_sound_weights
from cnntrain.training.state import State


class Saver:
    """Writes ``last.ckpt`` and ``best.ckpt`` of one run, in at most a share of its time.

    A checkpoint holds frozen weights too, so that it needs no other file: writing it can take far longer than an epoch
    of the few that are trained. An epoch that ends too soon after the last write is not written; of the best one what
    is trained is then copied and waits in memory. What is on disk is always a state that an exact resume continues
    from, and the best up to it. So is what ``config.yaml`` says: that of a resume is written with its first checkpoint.
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
        # the progress that last.ckpt holds
        self._written = asdict(state.progress) if (folder / checkpoint.LAST).exists() else None
        self._is_described = self._written is None  # whether config.yaml is that of the state
        self._forget_lost()

    def epoch_done(self, improved: bool) -> None:
        """Write the state, or keep it where it is the best so far; all ranks call this.

        Raises:
            RunError: the disk is full or cannot be written; the files that were there are intact.
        """
        due = dist.from_first(lambda: self.clock() >= self._not_before)
        if improved and dist.rank() == 0:
            state = self.state.state_dict()
            self._best = state if due else self._copied(state)
        if due:
            self.write(None)

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
        if dist.any_rank(self._best is not None):
            self.write(None)

    def fail(self) -> None:
        """Make the best epoch the last where it waits in memory: what came after it is of no use. All ranks call it."""
        if dist.rank() == 0 and self._best is not None:
            self._make_room()
            self._write_best(self._best)

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

    def _write(self) -> None:
        if not has_sound_weights(self.state.model):
            raise RunError(f"weights are nan or infinite after step {self.state.progress.step}: lower optim.lr")
        start, progress = self.clock(), asdict(self.state.progress)
        if self._best is not None or self._written != progress:
            self._make_room()
        if self._best is not None:
            self._written = self._best["progress"]
            self._write_best(self._best)
        if self._written != progress:
            checkpoint.save(self.folder / checkpoint.LAST, self.state.state_dict())
        self._best, self._written = None, progress
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

"""What is said where memory does not suffice."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from cnntrain.core.errors import ConfigError, RunError
from cnntrain.training.rehearsal import Plan
from cnntrain.training.run import Run
from cnntrain.training.tuning import is_out_of_memory, largest_that_fits


@contextmanager
def shortage_explained(run: Run) -> Iterator[None]:
    """Raises RunError where the block finds no memory; it says how many images at once there would be room for."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # which hold what has filled the memory
        run.state.optimizer.zero_grad(set_to_none=True)
        raise RunError(f"out of memory on {run.device} in {_told(run)}") from error


def _told(run: Run) -> str:
    config, shares = run.config, run.loaders.share
    at_once = config.data.batch_size // shares.ranks // shares.pieces
    told = f"a step of {at_once} images at once{f' in each of {shares.ranks} processes' if shares.ranks > 1 else ''}"
    plan = Plan(
        config, run.state.model, run.state.policy, run.loaders.preprocess, len(run.data.classes), run.device,
        config.data.batch_size, run.step.left,
    )  # fmt: skip
    try:
        fits = largest_that_fits(plan, at_once)
    except ConfigError as error:
        return f"{told}; {error}"
    if fits == at_once:
        return f"{told}, for which there is room now: something else took the memory; resume the run"
    return f"{told}: trainer.micro_batch={fits} fits, and leaves a step's batch what it is"

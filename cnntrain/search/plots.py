"""What a study has found, as optuna draws it: PNG files in the sweep's folder."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import optuna
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.exceptions import ExperimentalWarning
from optuna.study import Study
from optuna.trial import TrialState, create_trial
from optuna.visualization import matplotlib as drawing

from cnntrain.core.files import write_atomic
from cnntrain.core.words import tell
from cnntrain.search.trials import Trials
from cnntrain.study.curves import picture

LEAST = 2  # trials that have come to their end, without which there is nothing to see


def write(trials: Trials, metric: str) -> list[Path]:
    """Draw the history, the importance of each key, its values as parallel coordinates, with a pruner the epochs of
    each trial, and of two objectives the front. A plot that optuna cannot draw is told of, and left out.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    if sum(each.state == TrialState.COMPLETE for each in trials.study.get_trials(deepcopy=False)) < LEAST:
        return []
    written = list[Path]()
    for name, draw in _plots(trials, metric).items():
        path = trials.place / f"{name}.png"
        with _without_a_screen():
            try:
                content = picture(_figure(draw()), "png")
            except Exception as error:  # of a library's, over what somebody has searched: the search itself is done
                tell(f"note: {path.name} is not drawn: {type(error).__name__}: {error}", sys.stderr)
                continue
        write_atomic(path, content)
        written.append(path)
    return written


def _plots(trials: Trials, metric: str) -> Mapping[str, Callable[[], Any]]:
    study = _copied(trials, 1)
    found: dict[str, Callable[[], Any]] = {
        "history": partial(drawing.plot_optimization_history, study, target_name=metric),
        "importances": partial(drawing.plot_param_importances, study, target_name=metric),
        "parallel": partial(drawing.plot_parallel_coordinate, study, target_name=metric),
    }
    if trials.settings.pruner != "none":
        found["epochs"] = partial(drawing.plot_intermediate_values, study)
    if trials.settings.against is not None:
        names = [metric, trials.settings.against]
        found["pareto"] = partial(drawing.plot_pareto_front, _copied(trials, 2), target_names=names)
    return found


def _copied(trials: Trials, objectives: int) -> Study:
    """A study of the first objectives alone, whose keys are as people type them."""
    study = optuna.create_study(directions=trials.study.directions[:objectives])
    for each in trials.study.get_trials(deepcopy=False):
        if each.state.is_finished():
            study.add_trial(
                create_trial(
                    state=each.state,
                    values=each.values and each.values[:objectives],
                    params={key.lstrip("+"): value for key, value in each.params.items()},
                    distributions={key.lstrip("+"): value for key, value in each.distributions.items()},
                    intermediate_values=each.intermediate_values,
                )
            )
    return study


@contextmanager
def _without_a_screen() -> Iterator[None]:
    """Within the block pyplot, by which optuna draws, opens no window; its figures and style are kept."""
    before, open_before = matplotlib.get_backend(), set(pyplot.get_fignums())
    pyplot.switch_backend("agg")
    try:
        with pyplot.rc_context({"savefig.bbox": "tight", "savefig.dpi": 150}), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            warnings.filterwarnings("ignore", "Attempting to set identical")  # of trials that are all alike
            yield
    finally:
        for number in set(pyplot.get_fignums()) - open_before:
            pyplot.close(number)
        pyplot.switch_backend(before)


def _figure(drawn: Any) -> Figure:
    figure = (drawn if isinstance(drawn, Axes) else drawn.flat[0]).figure
    assert isinstance(figure, Figure)
    return figure

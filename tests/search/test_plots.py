"""Pictures of a study: which there are, and that one which cannot be drawn ends nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import optuna
import pytest
from matplotlib import pyplot
from PIL import Image

from cnntrain.config.sweeping import Sweeping
from cnntrain.search import plots
from cnntrain.search.space import Space
from cnntrain.search.trials import Trials

RANGES = {
    "++optim.lr": optuna.distributions.FloatDistribution(1e-4, 1, log=True),
    "model": optuna.distributions.CategoricalDistribution(["a", "b"]),
}


def study(place: Path, count: int, pruner: Any = "none", against: Any = None) -> Trials:
    settings = Sweeping(sampler="random", pruner=pruner, n_trials=count, seed=0, against=against, warm_start=None)
    trials = Trials.open(place, settings, Space([], RANGES), greater_is_better=True)
    while True:
        with trials.next() as trial:
            if trial is None:
                return trials
            rate = trial.params["++optim.lr"]
            if pruner != "none":
                trial.report(rate, 1)
            trials.tell(trial, [rate] if against is None else [rate, 100 * rate**2])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pruner", "against", "more"), [("none", None, ""), ("median", None, "epochs"), ("none", "macs", "pareto")]
)
def test_a_study_is_drawn(pruner: str, against: str | None, more: str, tmp_path: Path) -> None:
    before = matplotlib.get_backend(), dict(matplotlib.rcParams), pyplot.get_fignums()
    written = plots.write(study(tmp_path, 6, pruner, against), "val/top1")
    names = ["history", "importances", "parallel", *([more] if more else [])]
    assert [each.name for each in written] == [f"{name}.png" for name in names]
    for each in written:
        low, high = Image.open(each).convert("L").getextrema()
        assert low < high
    assert (matplotlib.get_backend(), dict(matplotlib.rcParams), pyplot.get_fignums()) == before


def test_a_picture_that_fails_is_told_of_and_the_others_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("zero total variance")

    monkeypatch.setattr(plots.drawing, "plot_param_importances", fails)
    written = plots.write(study(tmp_path, 3), "val/top1")
    assert [each.name for each in written] == ["history.png", "parallel.png"]
    assert "importances.png is not drawn: RuntimeError: zero total variance" in capsys.readouterr().err


def test_one_trial_is_not_drawn(tmp_path: Path) -> None:
    assert plots.write(study(tmp_path, 1), "val/top1") == [] and not list(tmp_path.glob("*.png"))

"""The range test: what it reads off losses, and that it leaves a run as it would have been."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import cnntrain
from cnntrain.cli import compose_and_start
from cnntrain.core.errors import ConfigError
from cnntrain.schedule.base import Position
from cnntrain.search import lr_range

RATES = np.geomspace(1e-6, 1, 200)
TINY = (
    "data=digits", "data.image_size=32", "data.train_per_class=12", "trainer.device=cpu", "model=lenet5",
    "data.batch_size=20", "optim.momentum=0.5", "augment=none",
)  # fmt: skip


def test_the_rate_rises_by_one_factor_from_the_lowest_to_the_highest() -> None:
    rising = lr_range.Rising("rising", 0, 1e-6).start()
    found = [rising.rate(1.0, Position(step, 7, 50)) for step in range(50)]
    np.testing.assert_allclose(found, np.geomspace(1e-6, 1, 50))


@pytest.mark.parametrize("middle", [1e-4, 1e-2])
def test_the_steepest_fall_is_found_and_what_diverges_is_not_looked_at(middle: float) -> None:
    """A loss that falls as a logistic function of the logarithm falls most steeply in its middle."""
    losses = 2.3 - 2 / (1 + np.exp(-3 * np.log(RATES / middle)))
    losses[170:] = 50
    found = lr_range.read(RATES.tolist(), losses.tolist())
    assert found.suggestion is not None and found.least is not None
    lag = (RATES[1] / RATES[0]) ** 10  # of the running mean
    assert middle / 1.1 < found.suggestion < middle * lag * 1.1
    assert found.suggestion < found.least < RATES[170]


def test_losses_that_do_not_fall_suggest_nothing_and_those_that_are_no_numbers_end_the_test() -> None:
    noise = np.random.default_rng(0).normal(2.3, 0.01, 200)
    assert lr_range.read(RATES.tolist(), noise.tolist()).suggestion is None
    noise[30:] = np.nan
    found = lr_range.read(RATES.tolist(), noise.tolist())
    assert found.suggestion is None and len(found.rates) == len(found.smooth) == 30
    assert lr_range.read([1e-6], [2.3]).suggestion is None


def test_a_run_after_it_is_to_the_byte_the_run_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    train = ("trainer.epochs=1", "report.html=false", "report.trackers=[]")
    without = cnntrain.train(*TINY, *train, "output=a")
    before = torch.get_rng_state()
    least_loss = "checkpoint.metric=val/loss"  # a search would refuse it, but nothing is chosen here
    range_ = ("steps=40", "lowest=0.01", "highest=3", "noise=16")
    made = compose_and_start("lr_find", [*TINY, *range_, "output=b", least_loss]).made
    assert torch.equal(torch.get_rng_state(), before)
    assert cnntrain.train(*TINY, *train, "output=c")["weights_sha256"] == without["weights_sha256"]
    found = json.loads((Path(str(made)) / "lr_find.json").read_text())
    np.testing.assert_allclose(found["rates"], np.geomspace(0.01, 3, 40)[: len(found["rates"])])
    assert found["losses"][0] == pytest.approx(np.log(10), abs=0.2)
    noise = found["noise"]
    assert noise["interval"][0] < noise["scale"] == pytest.approx(noise["trace"] / noise["gradient"])
    assert (noise["rate"], noise["images"], noise["batches"]) == (found["suggestion"], 20, 2)
    assert sorted(each.name for each in Path(str(made)).iterdir()) == ["lr_find.json", "lr_find.png"]


def test_rates_and_steps_that_mean_nothing_are_refused() -> None:
    for word, problem in (
        ("lowest=2", "must be below highest=1"),
        ("steps=5", "at least 20"),
        ("noise=5", "at least 16, or 0"),
        ("devices=2", "lr_find"),
    ):
        with pytest.raises(ConfigError, match=problem):
            compose_and_start("lr_find", [word])

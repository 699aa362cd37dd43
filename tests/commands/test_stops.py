"""A signal is heard wherever a run is: steps, validation, the test, computing activations, references."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slow import slow_if

from cnntrain.core import signals

CASES = {
    "plain": ("trainer.epochs=2", "data.train_size=32", "data.val_size=40", "data.test_size=40"),
    "kept": ("model.pretrained=false", "transfer=linear_probe", "transfer.cache=ram", "trainer.epochs=1"),
    "references": (
        "data.image_size=16", "data.train_size=32", "transfer=probe_depths", "model.pretrained=false",
        "transfer.references=[knn]", "trainer.epochs=1", "transfer.lr_grid=[1]", "transfer.decay_grid=[1]",
    ),
}  # fmt: skip


# plain: 2 steps and 3 batches of val an epoch, then val and the test of the best; kept: 3 + 1 batches of activations
ASKED = {"plain": 16, "kept": 10, "references": 16}


class Signal:
    """Comes when it is asked after for the n-th time; never where n is 0."""

    def __init__(self, at: int):
        self.at, self.asked = at, 0

    def __call__(self) -> str | None:
        self.asked += 1
        return "SIGTERM" if self.at and self.asked >= self.at else None


@pytest.mark.no_cover
@pytest.mark.parametrize("third", slow_if((1, 2), range(3)))
@pytest.mark.parametrize("name", CASES)
def test_a_signal_at_any_time_stops_and_the_resumed_run_is_exact(
    name: str,
    third: int,
    configure: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    result_of: Any,
) -> None:
    def ended(signal: Signal, output: str, *words: str) -> Any:
        monkeypatch.setattr(signals, "received", signal)
        return configure(*CASES[name], *words, f"name={output}").execute([])

    never = Signal(0)
    straight = result_of(Path(ended(never, "straight").made))
    assert straight["status"] == "finished"
    assert never.asked == ASKED[name]
    for at in range(1 + third, never.asked + 1, 3):
        stopped = ended(Signal(at), f"at-{at}")
        assert stopped.code == signals.STOPPED, at
        place = Path(stopped.made)
        assert result_of(place)["status"] == "stopped"
        again = ended(Signal(0), f"at-{at}", f"resume={place}")
        result = result_of(place)
        assert (again.code, again.made) == (0, str(place))
        same = ("status", "epochs", "steps", "best", "test", "weights_sha256", "frozen")
        assert {key: result[key] for key in same} == {key: straight[key] for key in same}, at

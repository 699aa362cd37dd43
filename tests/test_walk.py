"""From the command line to the step that moves weights: few functions, each of which says what it is."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch

import cnntrain
from cnntrain import cli

PACKAGE = Path(cnntrain.__file__).parent
MOST = 9


@pytest.mark.no_cover
def test_the_walk_to_the_optimizers_step_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walks: list[list[str]] = []
    step = torch.optim.SGD.step

    def noted(self: torch.optim.SGD, closure: None = None) -> None:
        frames = [each for each in inspect.stack()[1:] if Path(each.filename).is_relative_to(PACKAGE)]
        walks.append(
            [f"{Path(each.filename).relative_to(PACKAGE.parent)}:{each.lineno} {each.function}" for each in frames]
        )
        step(self, closure)

    monkeypatch.setattr(torch.optim.SGD, "step", noted)
    assert cli.main(["experiment=smoke", f"output={tmp_path}"]) == 0
    with capsys.disabled():
        print("", *walks[0][::-1], sep="\n  ")
    assert walks[0][-1].endswith(" main")
    assert len(walks[0]) <= MOST

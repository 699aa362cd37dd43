"""`cnntrain report`, and the page that a finished run leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from answered import write_run
from composing import composed

import cnntrain
from cnntrain.build.images import part_of
from cnntrain.build.looking import Looking
from cnntrain.commands import train
from cnntrain.commands.report import Report
from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.runs import folder, predictions
from cnntrain.study.explain import drawing
from cnntrain.study.page import facts, one
from cnntrain.study.page.thumbnails import Album

Perform = Callable[..., str]


def typed(*overrides: str) -> Report:
    return check(composed(overrides, "report"), Report)


@pytest.fixture
def run(configure: Callable[..., Train], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(train, "PAGE_SECONDS", 60.0)  # no page lacks pictures because the machine is busy
    ended = configure("trainer.epochs=1", "report.html=true").execute([])
    return Path(str(ended.made))


def test_a_finished_run_leaves_the_page_that_report_writes_again(run: Path, perform: Perform, tmp_path: Path) -> None:
    left = (run / one.PAGE).read_text()
    assert "fake" in left and "data:image/png;base64," in left and "there are no pictures" not in left
    assert left.count('alt="what the network looked at"') == left.count('<img id="image-') > 0
    out = perform(typed(f"runs={run}", f"output={tmp_path}/again.html"))
    assert out == f"{tmp_path}/again.html\n" and (tmp_path / "again.html").read_text() == left
    without = perform(typed(f"runs={run}", "images=false"))
    assert without == f"{run}/report.html\n" and "<img" not in (run / one.PAGE).read_text()
    ids = predictions.read(run / "test" / predictions.PREDICTIONS).ids
    assert len(part_of(run, "test", ids)) == 16
    ended = json.loads((run / folder.RESULT).read_text())
    (run / folder.RESULT).write_text(json.dumps({**ended, "data": {**ended["data"], "fingerprint": "other"}}))
    with pytest.raises(InputError, match="fake: these images are not those that the run was judged by"):
        part_of(run, "test", ids)
    assert "note: there are no pictures, since the images cannot be read: fake: these" in perform(typed(f"runs={run}"))


def test_what_the_network_looked_at_is_what_explain_finds(run: Path) -> None:
    found, ids = cnntrain.load(run, device="cpu"), predictions.read(run / "test" / predictions.PREDICTIONS).ids
    source = Looking(run, "test", ids, torch.device("cpu"))
    overlay, images = source.overlay(), source.images()
    for answer, name in enumerate(found.classes[:2]):
        (expected,) = found.explain([images[3]], "gradcam", target=name)
        drawn = drawing.overlay(expected.seen, expected.map)
        np.testing.assert_allclose(overlay(images[3], answer) / 255, drawn, atol=0.01)
    assert np.abs(overlay(images[3], 0).astype(int) - overlay(images[3], 1)).max() > 3
    (run / "best.ckpt").unlink()
    _, notes = one.page_of(facts.read(run), Album(Looking(run, "test", ids, torch.device("cpu")), 60))
    assert len(notes) == 1 and "what the network looked at is not shown" in notes[0] and "best.ckpt" in notes[0]


def test_a_page_that_cannot_be_written_does_not_lose_the_run(
    configure: Callable[..., Train], perform: Perform, monkeypatch: pytest.MonkeyPatch, result_of: Any
) -> None:
    def fail(*anything: Any) -> None:
        raise ZeroDivisionError("no page")

    monkeypatch.setattr(one, "page_of", fail)
    out = perform(configure("trainer.epochs=1", "report.html=true", "data.test_size=0"))
    place = Path(out.splitlines()[-1])
    assert result_of(place)["status"] == "finished" and not (place / one.PAGE).exists()
    assert f"warning: {place}/report.html is not written: ZeroDivisionError: no page" in out


def test_a_folder_of_runs_has_a_page_too(tmp_path: Path, perform: Perform) -> None:
    for name in "ab":
        write_run(tmp_path / "runs" / name, [True, False, name == "a"], optim__lr=ord(name))
    assert perform(typed(f"runs={tmp_path}/runs")) == f"{tmp_path}/runs/report.html\n"
    assert "2 runs in runs" in (tmp_path / "runs" / "report.html").read_text()


def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such folder"):
        typed(f"runs={tmp_path}/none").execute([])
    place = write_run(tmp_path / "run", [True, False])
    with pytest.raises(InputError, match=r"output=.*/no/page.html: there is no folder"):
        typed(f"runs={place}", f"output={tmp_path}/no/page.html").execute([])
    with pytest.raises(ConfigError, match=r"output must end in .html"):
        typed("output=page.pdf")

"""What a page shows of images that are made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from sources import Given

from cnntrain.runs import folder, sheet
from cnntrain.study.page import facts, one
from cnntrain.study.page.answered import made
from cnntrain.study.page.thumbnails import Album

TASK = {"name": "generate", "samples": 1000, "features": "runs/<b>"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A run of 11 epochs that was stopped, of which the seventh was the best."""
    run = tmp_path / "run"
    for epoch in range(1, 12):
        images = torch.full((4, 1, 6, 6), 10 * epoch, dtype=torch.uint8)
        sheet.write_sheet(run / sheet.FOLDER / f"{sheet.name_of(epoch)}.png", images)
    (run / sheet.FOLDER / "epoch_x.png").write_bytes(b"no sheet")
    tree = {"seed": 0, "model": {"name": "dcgan"}, "data": {"name": "fake"}, "task": TASK}
    (run / folder.CONFIG).write_text(yaml.safe_dump(tree))
    lines = [{"epoch": n, "val/fid": abs(n - 7) + 0.5, "train/loss": 1.0} for n in range(1, 12)]
    (run / folder.METRICS).write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    columns = [{"name": "fid", "title": "FID", "words": "Fréchet distance", "greater_is_better": False}]
    ended = {"status": "stopped", "best": {"epoch": 7, "val/fid": 0.5}, "task": {"columns": columns}}
    (run / folder.RESULT).write_text(json.dumps(ended))
    return run


def test_the_first_the_last_the_best_and_some_between(place: Path, read: Any) -> None:
    text, notes = one.page_of(facts.read(place), Album(Given(), 60))
    shown = one.values(facts.read(place), Album(Given(), 60))["judged"]
    assert not notes and [each.title for each in shown.sheets] == [
        "epoch 1", "epoch 3", "epoch 6", "epoch 7, the best", "epoch 9", "epoch 11",
    ]  # fmt: skip
    assert [each.words for each in shown.sheets][2:4] == ["FID 1.5000 on val", "FID 0.5000 on val"]
    page = read(text)
    assert len(page.all("img")) == 6 and "6 of 11 epochs" in page.text
    assert "Fréchet distance, of 1,000 made images and those of a part; features of runs/<b>" in page.text
    assert "there are no answers" not in page.text and "Wilson" not in page.text


@pytest.mark.parametrize(("count", "best"), [(1, 1), (6, None), (7, 7), (500, 250), (500, None)])
def test_few_are_shown(count: int, best: int | None) -> None:
    found = made._chosen([*range(1, count + 1)], best)
    assert len(found) <= made.SHEETS and found == sorted(set(found))
    assert {1, count, best or 1} <= {*found} and len(found) >= min(count, made.SHEETS - 1)


def test_a_damaged_sheet_and_one_that_is_too_large(place: Path) -> None:
    (place / sheet.FOLDER / "epoch_001.png").write_bytes(b"no picture")
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (64, 3, 128, 128), dtype=np.uint8))
    sheet.write_sheet(place / sheet.FOLDER / "epoch_011.png", noise)
    text, notes = one.page_of(facts.read(place), Album(Given(), 60))
    assert len(notes) == 1 and "epoch_001.png" in notes[0] and len(text) < 600_000
    without = one.values(facts.read(place), None)["judged"]
    assert not without.sheets and not without.notes

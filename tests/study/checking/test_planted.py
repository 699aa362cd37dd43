"""A small folder with the 30 faults of 12 kinds that ``scripts/check_planted.py`` plants."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "check_planted.py"


@pytest.fixture(scope="module")
def planting() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("check_planted", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.no_cover
def test_what_is_planted_is_found(planting: Any, tmp_path: Path, typed: Callable[..., Any]) -> None:
    faults = planting.plant(tmp_path / "photos", 240, (160, 120), workers=1)
    done = typed(
        "check", "data=imagefolder", "data.root=photos", f"data.group='{planting.PATTERN}'", "data.num_workers=0"
    )
    assert (done.returncode, done.stderr) == (2, "")
    found = json.loads((tmp_path / "check.json").read_text())
    named = {(each["kind"], id_) for each in found["findings"] for id_ in each["ids"]}
    missed = [each for each in faults if tuple(each) not in named]
    assert [each for each in missed if each.kind != "label"] == []
    assert len(missed) <= 2, "a linear classifier of few images is sure of few labels"
    planted = {each.id for each in faults}
    alarms = [each["kind"] for each in found["findings"] if not planted & set(each["ids"])]
    assert set(alarms) <= {"unusable", "label"}
    assert alarms.count("unusable") == 1, "groups that are torn stop a training"
    assert alarms.count("label") <= 15
    lines = done.stdout.splitlines()
    assert lines[-1] == "check.json"
    assert "fault: files: damaged or cut short: 3" in lines
    assert any("train/" in each and "the file is empty" in each for each in lines)

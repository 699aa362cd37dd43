"""Pages in a real browser: nothing in its console, no request, what is clicked answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from answered import answers, write_run

from cnntrain.runs import predictions
from cnntrain.runs.predictions import PREDICTIONS, Predictions
from cnntrain.study.page import many, one

SCRIPT = Path(__file__).parents[3] / "scripts" / "check_page.py"
CLASSES = ("<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>", "'\"&amp;")


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_finds_nothing_wrong(tmp_path: Path) -> None:
    """Accessibility too where CNNTRAIN_AXE names axe.min.js."""
    pytest.importorskip("playwright")
    places = [write_run(tmp_path / "runs" / name, [True, False] * 6, optim__lr=ord(name)) for name in "ab"]
    found = answers([True, False, True] * 4)
    named = Predictions([f"<b>{each}" for each in found.ids], found.labels, found.logits, found.losses, CLASSES, {})
    predictions.write(places[0] / "test" / PREDICTIONS, named)
    pages = [one.write(places[0], None), tmp_path / "runs" / one.PAGE]
    pages[1].write_text(many.page_of(tmp_path / "runs", "test", tmp_path / "runs")[0])
    axe = [f"--axe={os.environ['CNNTRAIN_AXE']}"] if "CNNTRAIN_AXE" in os.environ else []
    done = subprocess.run([sys.executable, SCRIPT, *pages, *axe], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("nothing found") == 8

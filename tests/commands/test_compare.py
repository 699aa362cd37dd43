"""`cnntrain compare`: what it prints in each shape, what it leaves, and that looks at test are counted."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from answered import write_run
from composing import composed
from PIL import Image

from cnntrain.commands.compare import Compare
from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.core.errors import ConfigError, InputError

Perform = Callable[..., str]


def typed(*overrides: str) -> Compare:
    return check(composed(overrides, "compare"), Compare)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two systems, the names of which mean something to HTML, markdown and formulas."""
    draws = np.random.default_rng(0)
    for seed in range(2):
        for name, share, macs in (("vgg<16>|$x$", 0.9, 4_000_000), ("lenet5", 0.7, 4000)):
            right = draws.permutation(np.arange(400) < 400 * share)
            for part in ("test", "val"):
                place = tmp_path / "runs" / f"{seed}{part}" / name[:3]
                write_run(place, right, part, seed=seed, macs=macs, model__name=name, name=part)
    return tmp_path / "runs"


def test_a_folder_of_runs_is_compared_and_the_comparison_left_in_it(runs: Path, perform: Perform) -> None:
    out = perform(typed(f"runs={runs}", "margin=30"))
    lines = out.splitlines()
    assert lines[0].startswith("2 systems on the same 400 samples of test: accuracy in percent")
    (answer,) = [line for line in lines if line.startswith("vgg<16>|$x$ and lenet5: vgg<16>|$x$ is better by 20.0 ")]
    assert answer.endswith("which is within 30 points") and lines[-1] == str(runs)
    assert "the test part was looked at 4 times by these 4 runs" in lines
    assert any(line.split() == ["model.name", "vgg<16>|$x$", "lenet5"] for line in lines)
    found = json.loads((runs / "compare.json").read_text())
    assert [each["name"] for each in found["systems"]] == ["vgg<16>|$x$", "lenet5"]
    (pair,) = found["comparisons"]
    counts = [len(pair[way]) for way in ("right_to_wrong", "wrong_to_right")]
    assert f"{counts[0]} / {counts[1]}" in out and pair["right_to_wrong"][0].startswith("test/")
    assert found["systems"][0]["runs"][0]["test_looks"] == 1 and found["part"] == "test"
    with Image.open(runs / "compare.png") as picture:
        assert picture.size[0] > 800 and len(np.unique(picture.convert("L"))) > 50


def test_every_shape_says_the_same(runs: Path, perform: Perform, tmp_path: Path) -> None:
    output = tmp_path / "other" / "place"
    words = [f"runs=[{runs}/0val/vgg,{runs}/*val/len]", "part=val", f"output={output}"]
    facts = json.loads(perform(typed(*words, "format=json")))
    assert facts == json.loads((output / "compare.json").read_text()) and not (runs / "compare.json").exists()
    (row,) = csv.DictReader(io.StringIO(perform(typed(*words, "format=csv"))))
    (pair,) = facts["comparisons"]
    assert float(row["difference"]) == pair["difference"] and float(row["low"]) == pair["interval"][0]
    assert int(row["right_to_wrong"]) == len(pair["right_to_wrong"]) and row["answer"] == pair["answer"]
    shown = perform(typed(*words, "format=markdown"))
    assert r"| vgg<16>\|$x$ | 1 |" in shown and f"and lenet5: {pair['answer']}" in shown
    assert "looks at test" not in shown and "looked at" not in shown
    assert "- the best epochs were chosen by val, so the accuracies on it are rather too high" in shown.splitlines()
    page = perform(typed(*words, "format=html"))
    assert "vgg&lt;16&gt;|$x$" in page and "vgg<16>" not in page and 'src="data:image/png;base64,iVBOR' in page
    assert page.count("<table>") == page.count("</table>") == 3


def test_the_place_is_where_all_runs_are(runs: Path, perform: Perform) -> None:
    words = f"runs=[{runs}/0test/vgg,{runs}/0test/len]"
    assert perform(typed(words)).splitlines()[-1] == str(runs / "0test")
    (runs / "file").write_text("")
    with pytest.raises(InputError, match=r"file.*; output=<folder> chooses another place"):
        typed(words, f"output={runs}/file").execute([])


def test_what_is_wrong_is_said(tmp_path: Path, runs: Path) -> None:
    with pytest.raises(ConfigError, match="margin"):
        typed("margin=0")
    with pytest.raises(ConfigError, match="runs must be a folder of runs"):
        typed("runs=[]")
    with pytest.raises(InputError, match="there is no such folder"):
        typed(f"runs={tmp_path}/none").execute([])
    with pytest.raises(InputError, match="two runs at least are compared, not 1"):
        typed(f"runs={runs}/0test/vgg").execute([])


def test_nothing_is_chosen_by_test() -> None:
    for words in (["checkpoint.metric=test/top1"], ["schedule=plateau", "schedule.metric=test/top1"]):
        with pytest.raises(ConfigError, match=r"metric=test/top1: test is sealed.* take val/top1"):
            check(composed(words), Train)

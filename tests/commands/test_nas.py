"""`cnntrain nas` and `cnntrain scale`: what they leave, what they do not train twice, what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.stats import t as student

import cnntrain as package
from cnntrain.commands.nas import Nas
from cnntrain.core.errors import ConfigError, InputError, LossError
from cnntrain.search import journal, scaling
from cnntrain.search.nas import searching
from cnntrain.training import loop, outcome

TINY = (
    "data=fake", "data.train_size=32", "data.val_size=16", "data.test_size=16", "data.batch_size=16",
    "data.image_size=8", "trainer.device=cpu", "trainer.epochs=1", "report.html=false", "report.trackers=[]",
)  # fmt: skip
CHAIN = ("nas", *TINY, "space.layers=2", "space.filters=[2,3]", "algorithm=evolution", "algorithm.population=2",
         "algorithm.sample=2", "name=found")  # fmt: skip
Typed = Callable[..., Any]


def records(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / journal.JOURNAL).read_text().splitlines()]


def test_a_search_goes_on_and_what_it_finds_is_a_model(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "finish", None)  # which looks at test
    place, trained, fit = tmp_path / "outputs" / "found", list[Any](), loop.fit
    monkeypatch.setattr(loop, "fit", lambda run, *more: trained.append(run) or fit(run, *more))
    assert typed(*CHAIN, "children=4").returncode == 0
    whole = records(place)
    assert len(whole) == len(trained) == 4
    lines = (place / journal.JOURNAL).read_bytes().splitlines(keepends=True)
    (place / journal.JOURNAL).write_bytes(b"".join(lines[:2]) + lines[2][:30])  # killed while it wrote
    shown = typed(*CHAIN, "children=4")
    assert shown.returncode == 0 and shown.stdout.endswith("outputs/found\n") and len(trained) == 6
    same = [{key: each[key] for key in ("key", "value", "genotype")} for each in records(place)]
    assert same == [{key: each[key] for key in ("key", "value", "genotype")} for each in whole]
    result = json.loads((place / "nas.json").read_text())
    assert result["best"]["value"] == max(each["value"] for each in whole)
    assert result["best"]["genotype"] == json.loads((place / "best.json").read_text())
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    run = package.train(*TINY, "model=found", f"model.genotype={place / 'best.json'}", f"output={tmp_path}")
    kept = yaml.safe_load((Path(run["run_dir"]) / "config.yaml").read_text())["model"]
    assert kept["genotype"] is None and kept["args"]["genotype"] == result["best"]["genotype"]
    (place / "best.json").unlink()
    found = package.load(run["run_dir"], device="cpu")
    assert sum(each.numel() for each in found.network.parameters()) == result["best"]["params"]
    settings = json.loads((place / journal.SETTINGS).read_text())
    del settings["trainer.tf32"]  # a search from before this key had its default
    (place / journal.SETTINGS).write_text(json.dumps(settings))
    assert typed(*CHAIN, "children=4").returncode == 0
    (place / journal.SETTINGS).write_text(json.dumps({k: v for k, v in settings.items() if k != "algorithm.sample"}))
    refused = typed(*CHAIN, "children=4")
    assert "algorithm.sample=5 is now 2" in refused.stderr and "tf32" not in refused.stderr
    (place / journal.SETTINGS).write_text(json.dumps(settings))
    refused = typed(*CHAIN, "children=4", "optim.lr=0.5")
    assert refused.returncode == 2 and "optim.lr=" in refused.stderr and "name=<another>" in refused.stderr


def test_a_child_that_diverges_has_no_value(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = loop.fit

    def diverging(run: Any, *more: Any) -> str:
        if not (tmp_path / "diverged").exists():
            (tmp_path / "diverged").touch()
            raise LossError("nan")
        return fit(run, *more)

    monkeypatch.setattr(loop, "fit", diverging)
    assert typed(*CHAIN, "children=2").returncode == 0
    first, second = records(tmp_path / "outputs" / "found")
    assert (first["value"], first["reward"], first["failed"]) == (None, 0.0, "nan") and second["value"] is not None


def test_a_space_that_is_used_up_ends_the_search(configure: Any, tmp_path: Path) -> None:
    """Two architectures in all; the algorithm proposes them again and again."""
    from cnntrain.config.nas import Evaluation
    from cnntrain.search.nas.algorithms.random import Random
    from cnntrain.search.nas.spaces.chain import Chain

    class Counted(Evaluation):
        def judged(self, config: Any) -> dict[str, Any]:
            return {"value": 0.5, "reward": 0.5, "params": 1, "macs": 1}

    parts = Chain("chain", 1, [1], [1], [2, 3], [1], True), Random("random"), Counted("counted")
    book = journal.Journal(tmp_path / "journal.jsonl")
    found = list(searching.children(configure("model=found"), *parts, 5, book))
    assert len(found) == len(book.records) == 2


@pytest.mark.parametrize(("words", "told"), [
    (["model=lenet5"], "leave out model="),
    (["checkpoint.metric=val/loss"], "greatest value"),
    (["resume=x"], "the same command goes on in its folder"),
    (["space=cell", "space.operations=[conv9]"], r"space.operations=\[.conv9.\] must be different ones"),
    (["algorithm=evolution", "algorithm.sample=50"], "at most so many"),
])  # fmt: skip
def test_what_nas_refuses(words: list[str], told: str) -> None:
    from composing import composed

    from cnntrain.config.check import check

    with pytest.raises(ConfigError, match=told):
        check(composed([*TINY, *words], "nas"), Nas)


@pytest.mark.slow
def test_scale_trains_each_cell_once(typed: Typed, tmp_path: Path) -> None:
    words = ("scale", *TINY, "model.scale.width=0.1", "model.scale.depth=0.3", "alphas=[1.2]", "betas=[1.1]",
             "name=scaled", "trainer.deterministic=false")  # fmt: skip
    done = typed(*words, "phis=[0,1]")
    assert done.returncode == 0 and "one seed a cell does not tell" in done.stdout and "of phi = 0" in done.stderr
    before = records(tmp_path / "outputs" / "scaled")
    assert typed(*words, "phis=[0,2]").returncode == 0
    assert records(tmp_path / "outputs" / "scaled") == before and len(before) == 1
    found = json.loads((tmp_path / "outputs" / "scaled" / "scale.json").read_text())
    assert [each["phi"] for each in found["nets"]] == [0, 2]
    best = found["best"]
    assert best["alpha"] * best["beta"] ** 2 * best["gamma"] ** 2 == pytest.approx(2)
    assert [each["image_size"] for each in found["nets"]] == [8, round(8 * best["gamma"] ** 2)]


def test_cells_are_told_apart_by_their_seeds() -> None:
    draws = np.random.default_rng(0).normal(0.8, 0.02, (5, 3))
    cells = [scaling.Cell(scaling.Factors(1, 1, 1), 1, 1, each.tolist(), 1.0) for each in draws]
    pooled = np.sqrt(draws.var(axis=1, ddof=1).mean())
    assert scaling.reach(cells) == pytest.approx(student.ppf(0.975, 10) * pooled * np.sqrt(2 / 3))
    assert cells[0].value == pytest.approx(draws[0].mean()) and cells[0].deviation == pytest.approx(
        draws[0].std(ddof=1)
    )
    diverged = replace(cells[0], values=[0.9, None, 0.9])
    assert (diverged.value, diverged.deviation) == (None, None)
    assert (
        scaling.reach([*cells, diverged]) == scaling.reach(cells) and scaling.chosen([diverged, cells[1]]) == cells[1]
    )
    assert scaling.reach([replace(each, values=each.values[:1]) for each in cells]) is None


def test_the_grid_has_no_factor_below_one() -> None:
    found = scaling.grid([1.0, 1.2, 1.4], [1.0, 1.1, 1.5])
    assert len(found) == 6 and all(each.gamma >= 1 for each in found)
    assert {(each.alpha, each.beta): round(each.gamma, 2) for each in found}[1.2, 1.1] == 1.17


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"key": "a"}\n{"key\n{"key": "c"}\n')
    with pytest.raises(InputError, match="line 2 is damaged"):
        journal.Journal(path)

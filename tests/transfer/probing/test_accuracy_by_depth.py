"""The table and the plot of made-up accuracies; where they come from is in test_probe_depths.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from matplotlib import figure
from matplotlib.colors import same_color

from cnntrain.models import registry
from cnntrain.runs.screen import Screen
from cnntrain.transfer.base import Finished
from cnntrain.transfer.probing import accuracy_by_depth, references
from cnntrain.transfer.probing.probes import DepthFeatures, Probes

GRID = [(1.0, 0.5), (0.1, 3.0)]
# by part, of each depth's settings in turn, and after the network's those of the random one
TOP1 = {"val": [0.5, 0.6, 0.8, 0.7, 0.2, 0.1, 0.3, 0.4], "test": [0.55, 0.65, 0.85, 0.75, 0.25, 0.15, 0.35, 0.45]}


@pytest.fixture(scope="module")
def probes() -> Probes:
    registry.register()
    net, random = (timm.create_model("lenet5", num_classes=3) for _ in range(2))
    features = [DepthFeatures(each, torch.zeros(1, 1, 32, 32), 150, "max") for each in (net, random)]
    return Probes(features[0], features[1], 3, GRID, normalize=False)


def finished(probes: Probes, folder: Path, said: list[Any], parts: Sequence[str] = ("val", "test")) -> Finished:
    def nothing(*_: Any) -> Any:
        raise AssertionError("not asked for here")

    return Finished(
        model=probes,
        parts=parts,
        judge=lambda part: [{"top1": top1, "loss": 1 - top1, "count": 9} for top1 in TOP1[part]],
        batches=nothing,
        once=lambda make: make(),
        heed=nothing,
        say=said.append,
        folder=folder,
        val="the validation part",
        majority={"val": 0.34, "test": 0.36},
        lr=0.2,
        weight_decay=0.01,
    )


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Those that are drawn."""
    found: list[Any] = []

    class Kept(figure.Figure):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            found.append(self)

    monkeypatch.setattr(figure, "Figure", Kept)
    return found


def shown(table: Any, capsys: pytest.CaptureFixture[str]) -> list[str]:
    Screen(None).say(table)
    lines = capsys.readouterr().out.splitlines()
    return [" ".join(line.replace("│", " ").replace("┃", " ").split()) for line in lines]


def test_each_depth_has_the_setting_that_val_chose(
    probes: Probes, tmp_path: Path, figures: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[Any] = []
    rows = accuracy_by_depth.conclude(finished(probes, tmp_path, said), [], 3)
    assert rows == [
        {
            "depth": "conv1", "features": 150,
            "probe": {"lr": pytest.approx(0.02), "weight_decay": 0.03, "val_top1": 0.6, "test_top1": 0.65},
            "random_weights": {"lr": 0.2, "weight_decay": 0.005, "val_top1": 0.2, "test_top1": 0.25},
        },
        {
            "depth": "conv2", "features": 144,
            "probe": {"lr": 0.2, "weight_decay": 0.005, "val_top1": 0.8, "test_top1": 0.85},
            "random_weights": {"lr": pytest.approx(0.02), "weight_decay": 0.03, "val_top1": 0.4, "test_top1": 0.45},
        },
    ]  # fmt: skip
    lines = shown(said[0], capsys)
    assert "accuracy by depth, after the last epoch; settings chosen by the validation part" in lines[0]
    assert "depth features lr decay val test random val random test" in lines
    assert "conv1 150 0.02 0.03 60.00% 65.00% 20.00% 25.00%" in lines
    assert "conv2 144 0.2 0.005 80.00% 85.00% 40.00% 45.00%" in lines
    assert "most frequent class 34.00% 36.00% 34.00% 36.00%" in lines
    assert [column.justify for column in said[0].columns] == ["left"] + ["right"] * 7
    assert said[0].title_justify == "left" and said[0].rows[1].end_section  # a line above the last row
    (axes,) = figures[0].axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[65, 85], [25, pytest.approx(45)]]
    assert [list(line.get_xdata()) for line in axes.lines] == [[0, 1]] * 2
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["probe", "random weights"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["conv1", "conv2"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("depth", "test top-1, %")
    assert {line.get_marker() for line in axes.lines} == {"o"}
    assert axes.get_xgridlines()[0].get_visible() and axes.get_xgridlines()[0].get_alpha() == 0.3
    assert not same_color(*(line.get_color() for line in axes.lines))
    assert (tmp_path / "probes.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_test_part_the_plot_is_of_val(
    probes: Probes, tmp_path: Path, figures: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[Any] = []
    accuracy_by_depth.conclude(finished(probes, tmp_path, said, ("val",)), [], 3)
    (axes,) = figures[0].axes
    assert axes.get_ylabel() == "val top-1, %" and list(axes.lines[0].get_ydata()) == [60, 80]
    lines = shown(said[0], capsys)
    assert "depth features lr decay val random val" in lines and "most frequent class 34.00% 34.00%" in lines


def test_references_stand_beside_the_probes(
    probes: Probes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def judge(run: Finished, wanted: Sequence[str], neighbors: int) -> list[dict[str, Any]]:
        asked.append((wanted, neighbors))
        return [{"knn": {"val_top1": each, "test_top1": each + 0.01}} for each in (0.1, 0.2)]

    monkeypatch.setattr(references, "judge", judge)
    said: list[Any] = []
    rows = accuracy_by_depth.conclude(finished(probes, tmp_path, said), ["knn"], 3)
    assert asked == [(["knn"], 3)] and [row["knn"]["val_top1"] for row in rows] == [0.1, 0.2]
    assert "conv2 144 0.2 0.005 80.00% 85.00% 40.00% 45.00% 20.00% 21.00%" in shown(said[0], capsys)


@pytest.mark.parametrize(("count", "width", "rotation"), [(2, 5.0, 0), (5, 5.0, 0), (6, 5.6, 45), (10, 8.0, 45)])
def test_a_plot_of_many_depths_is_wider_and_their_names_are_turned(
    count: int, width: float, rotation: float, tmp_path: Path, figures: list[Any]
) -> None:
    rows = [{"depth": f"stage{number}", "probe": {"val_top1": 0.5}} for number in range(count)]
    accuracy_by_depth._draw(rows, tmp_path / "plot.png")
    assert figures[0].get_size_inches().tolist() == pytest.approx([width, 4.0])
    assert {text.get_rotation() for text in figures[0].axes[0].get_xticklabels()} == {rotation}


def test_a_table_without_a_majority_has_no_such_row(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"depth": "conv1", "features": 1500, "probe": {"lr": 0.12345, "weight_decay": 1e-4, "val_top1": 0.5}}
    table = accuracy_by_depth._table([row], "val", {})
    lines = shown(table, capsys)
    assert table.row_count == 1 and "conv1 1,500 0.123 0.0001 50.00%" in lines

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cnntrain.config.schema import TrainConfig
from cnntrain.core import files
from cnntrain.core.errors import RunError
from cnntrain.runs import history, report
from cnntrain.runs.report import LOG, METRICS, Report
from cnntrain.runs.screen import Screen
from cnntrain.runs.sinks import JsonLines
from cnntrain.runs.trackers.base import Log
from cnntrain.runs.trackers.tensorboard import TensorBoard
from cnntrain.tasks.classify import COLUMNS
from cnntrain.training.opening import opening
from cnntrain.training.outcome import _finished
from cnntrain.training.run import Run
from cnntrain.transfer.probing.accuracy_by_depth import _table

Configure = Callable[..., TrainConfig]


def opened(folder: Path, step: int, epoch: int) -> Report:
    return Report.open(Log(folder, step, epoch, "project", False, {}), COLUMNS, ["tensorboard"])


@pytest.fixture
def finished(configure: Configure, capsys: pytest.CaptureFixture[str]) -> tuple[Path, str]:
    """A run's folder and what it printed."""
    ended = configure("trainer.log_every=2", "optim.lr=0.05", "data.num_classes=4", "trainer.val_limit=12").execute(
        ["optim.lr=0.05"]
    )
    assert ended.code == 0
    return Path(ended.made), capsys.readouterr().out


def test_a_limit_of_validation_is_said_wherever_its_metrics_stand(
    finished: tuple[Path, str], make_run: Callable[..., Run], tmp_path: Path
) -> None:
    place, out = finished
    row = next(line for line in out.splitlines() if "validation (12 of 16), best epoch" in line)
    assert row.split("│")[-2].strip() == "12"
    assert json.loads((place / "result.json").read_text())["val"] == {"count": 12, "of": 16}
    assert history.read(str(place))[0][0].val_limit == "12 of 16"
    run = make_run("trainer.val_limit=5")
    assert _finished(run.run, tmp_path, run.report).val == "5 of 16 val"
    row = {"depth": "stem", "features": 9, "probe": {"lr": 0.1, "weight_decay": 0.0, "val_top1": 0.5}}
    table = _table([row], "5 of 16 val", {"val": 0.4})
    assert str(table.title).endswith("settings chosen by 5 of 16 val")
    assert list(table.columns[-1].cells) == ["50.00%", "40.00%"]
    assert len(run.data.val) == run.judged("val")["count"] == 5


def test_without_a_terminal_there_is_one_line_an_epoch(finished: tuple[Path, str]) -> None:
    folder, out = finished
    lines = [line for line in out.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 3
    assert lines[0].startswith("epoch   1/3 ")
    for word in ("train", "val", "%", "img/s", "lr 0.05"):
        assert all(word in line for line in lines), word
    assert "\x1b" not in out
    assert folder.is_dir()


def test_the_log_holds_what_was_shown(finished: tuple[Path, str]) -> None:
    folder, out = finished
    log = (folder / LOG).read_text()
    for line in out.splitlines():
        if line.startswith("epoch "):
            assert line.strip() in log


def test_the_opening_shows_what_is_trained_and_the_closing_what_came_of_it(finished: tuple[Path, str]) -> None:
    _, out = finished
    assert "lenet5: " in out
    assert "fake: train 48, val 12 of 16 (trainer.val_limit), test 16 images of 4 classes" in out
    assert "transfer=full" in out
    assert "trained" in out
    assert "validation (12 of 16), best epoch" in out
    assert "images/s" in out


def test_metrics_are_a_line_an_epoch_and_a_line_a_log_step(finished: tuple[Path, str], metrics_of: Any) -> None:
    lines = metrics_of(finished[0])
    epochs = [line for line in lines if "epoch" in line]
    assert [line["epoch"] for line in epochs] == [1, 2, 3]
    assert [line["step"] for line in epochs] == [3, 6, 9]
    wanted = {"train/loss", "train/top1", "train/top5", "val/loss", "val/top1", "val/top5", "lr"}
    assert all(wanted <= line.keys() for line in epochs)
    assert all(0 <= line["val/top1"] <= line["val/top5"] <= 1 for line in epochs)
    steps = [line for line in lines if "epoch" not in line and "train/loss" in line]
    assert [line["step"] for line in steps] == [2, 4, 6, 8]
    assert {"test/top1", "test/top5", "test/loss"} <= lines[-1].keys()


def test_tensorboard_reads_scalars_images_and_hyperparameters(finished: tuple[Path, str], metrics_of: Any) -> None:
    events = EventAccumulator(str(finished[0] / "tb"), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    tags = events.Tags()
    assert {"train/loss", "train/top1", "val/loss", "val/top1", "val/top5", "lr", "test/top1"} <= set(tags["scalars"])
    assert tags["images"] == ["inputs"]
    logged = {each.step: each.value for each in events.Scalars("val/top1")}
    expected = {line["step"]: line["val/top1"] for line in metrics_of(finished[0]) if "epoch" in line}
    assert logged == pytest.approx(expected)
    image = events.Images("inputs")[0]
    assert (image.width, image.height) == (8 * 34 + 2, 4 * 34 + 2)
    assert "_hparams_/session_start_info" in events.summary_metadata
    start = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    for word in (b"lenet5", b"fake", b"sgd", b"weight_decay"):
        assert word in start


def test_result_is_the_contract(finished: tuple[Path, str], result_of: Any) -> None:
    result = result_of(finished[0])
    assert result["status"] == "finished"
    assert result["run_dir"] == str(finished[0])
    assert result["epochs"] == 3
    assert {"epoch", "val/top1", "val/loss"} <= result["best"].keys()
    assert {"top1", "top5", "loss", "count"} <= result["test"].keys()
    assert {"seconds", "images_per_second", "data_wait"} <= result["train"].keys()
    assert 0 <= result["train"]["data_wait"] <= 1
    assert {"name", "params", "trainable_params", "macs"} <= result["model"].keys()
    assert {"params", "buffers", "hash_start", "hash_end"} <= result["frozen"].keys()
    assert result["frozen"]["hash_start"] == result["frozen"]["hash_end"]
    assert len(result["weights_sha256"]) == 64
    assert result["peak_memory_bytes"] > 1e6 and result["peak_memory_of"].startswith("this process")
    assert result["this_command"]["seconds"] > result["this_command"]["seconds_to_first_step"] > 0
    assert result["this_command"]["seconds"] > result["train"]["seconds"]
    assert {"cnntrain", "python", "torch", "torchvision", "timm"} <= result["versions"].keys()
    assert result["command"] == "cnntrain optim.lr=0.05"


def test_what_a_killed_run_logged_later_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / METRICS
    lines: list[dict[str, Any]] = [
        {"step": 2, "train/loss": 1.0},
        {"step": 3, "epoch": 1, "val/top1": 0.5},
        {"step": 4, "train/loss": 0.9},
        {"step": 6, "train/loss": 0.8},
        {"step": 6, "epoch": 2, "val/top1": 0.6},
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    for step, epoch, kept in ((4, 1, 3), (6, 1, 4), (6, 2, 5), (0, 0, 0)):
        path.write_text(text + '{"step": 8, "train/lo')  # cut short by the kill
        JsonLines(path, step, epoch).close()
        assert path.read_text() == "".join(f"{json.dumps(line)}\n" for line in lines[:kept])


def test_lines_that_are_no_runs_are_shown_before_they_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = '{"step": 2, "train/loss": 1.0}\n'
    own = '{"note": 1}\n'  # has no step, so the run did not write it
    (tmp_path / METRICS).write_text(f'{whole}[1, 2]\n{own}{{"step": "a"}}\n\x1b[2J\n{{"st')
    opened(tmp_path, 4, 1).close()
    assert (tmp_path / METRICS).read_text() == whole + own
    note = f"note: a line of {METRICS} cannot be read and is left out: "
    shown = ("[1, 2]", '{"step": "a"}', "\\x1b[2J")
    logged = [line.partition("  ")[2] for line in (tmp_path / LOG).read_text().splitlines()]
    assert logged == [note + each for each in shown]
    assert capsys.readouterr().out.splitlines() == [note + each for each in shown]


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TensorBoard's thread says nothing of its own, and there is room for the result."""
    tell = opened(tmp_path, 0, 0)
    lines, board = tell.sinks
    assert isinstance(board, TensorBoard)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with files.reserved(tmp_path) as free_room:
        (room,) = tmp_path.glob(".*.tmp")
        assert room.stat().st_size == files.RESERVED
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # no file can grow
            with pytest.raises(RunError, match=rf"cannot write {tmp_path}/{METRICS}: File too large"):
                lines.log(1, {"lr": 0.1})
            with pytest.raises(RunError, match=rf"cannot write {tmp_path}/{LOG}: File too large"):
                tell.say("a line")
            board.log(1, {"lr": 0.1})
            with pytest.raises(RunError, match=rf"cannot write {tmp_path}/tb: File too large"):
                board.close()
            with pytest.raises(RunError, match="cannot write"), files.reserved(tmp_path / "tb"):
                pass
            with pytest.raises(RunError, match="cannot write"):
                tell.close()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert room.exists()
        free_room()
        assert not room.exists()


def test_lines_are_on_disk_as_they_are_logged(tmp_path: Path, metrics_of: Any) -> None:
    sink = JsonLines(tmp_path / METRICS, 0, 0)
    sink.log(3, {"val/top1": 0.5})
    assert metrics_of(tmp_path) == [{"step": 3, "val/top1": 0.5}]
    sink.close()


def test_a_resumed_run_hides_what_tensorboard_had_after_it(tmp_path: Path) -> None:
    first = TensorBoard(tmp_path, 0)
    for step in range(1, 9):
        first.log(step, {"lr": 0.1})
    first.close()
    second = TensorBoard(tmp_path, 4)
    second.log(5, {"lr": 0.2})
    second.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(each.step, round(each.value, 3)) for each in events.Scalars("lr")] == [
        *((step, 0.1) for step in range(1, 5)),
        (5, 0.2),
    ]


def test_a_terminal_gets_a_bar(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = make_run(folder=tmp_path / "run")
    run.report.close()
    run.report = Report(COLUMNS, screen=Screen(tmp_path / LOG, clock=count().__next__))
    assert run.report.screen is not None
    with open(tmp_path / "terminal", "w") as file:
        run.report.screen.console = Console(force_terminal=True, file=file, width=120)
        run.fit()
    run.report.close()
    shown = (tmp_path / "terminal").read_text()
    assert "epoch 1/3" in shown
    assert "3/3" in shown
    assert "img/s" in shown
    assert "loss" in shown
    assert "\x1b" not in (tmp_path / LOG).read_text()


def test_a_report_without_sinks_or_screen_says_nothing(
    make_run: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    empty = Report(COLUMNS)
    empty.say("x")
    empty.log(1, {"a": 1.0})
    empty.images("inputs", torch.zeros(1, 3, 4, 4))
    empty.hparams({}, {})
    with empty.epoch(make_run().moment()):
        pass
    empty.close()
    assert capsys.readouterr().out == ""


def test_ranks_other_than_the_first_have_no_sinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report.dist, "rank", lambda: 1)
    assert opened(tmp_path, 0, 0).sinks == []
    assert opened(tmp_path, 0, 0).screen is None
    assert list(tmp_path.iterdir()) == []


def test_frozen_stages_are_shown(make_run: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run("transfer=freeze_depth", "transfer.depth=1", "model.pretrained=false", "data.train_size=8")
    screen = Screen(None)
    for each in opening(run):
        screen.say(each)
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if "frozen" in line or "trained" in line]
    assert "conv1" in rows[0]
    assert "frozen" in rows[0]
    assert all("trained" in row for row in rows[1:])
    assert "head" in rows[-1]
    assert "note: the training part is smaller than data.batch_size=16" in out


def test_how_an_epochs_last_images_are_taken_is_said(make_run: Callable[..., Run]) -> None:
    def notes(*overrides: str) -> list[str]:
        return [each for each in opening(make_run(*overrides)) if str(each).startswith("note")]

    assert notes("data.train_size=46") == notes("data.train_size=49") == []
    assert notes("data.train_size=47", "trainer.grad_accum=2") == [
        "note: an epoch leaves out 1 of 47 images, others each time: devices x trainer.grad_accum = 2 share each step "
        "equally"
    ]
    run = make_run("data.train_size=49", "model=resnet20")
    assert run.loaders.notes(16) == [
        "note: the last images of an epoch, 1, go into the step before: 1 at once is too few for BatchNorm"
    ]
    run.begin_epoch()
    assert [batch.count for batch in run.train_batches()] == [16, 16, 17]

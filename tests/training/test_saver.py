"""What is on disk after which epoch, and that what waited in memory is what the epoch left."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cnntrain.core import dist
from cnntrain.core.errors import ConfigError, RunError, StopError
from cnntrain.runs import checkpoint, folder, generations
from cnntrain.training import loop
from cnntrain.training.run import Run

MakeRun = Callable[..., Run]
TENTH = ("checkpoint.time_share=0.1", "trainer.epochs=50")


class Clock:
    """Stands for the time; writing a checkpoint takes two seconds of it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock, write = Clock(), checkpoint.save

    def save(path: Path, state: Any) -> None:
        write(path, state)
        clock.now += 2

    monkeypatch.setattr(checkpoint, "save", save)
    return clock


def end_epoch(run: Run, top1: float) -> None:
    """An epoch after which every weight is its number."""
    with torch.no_grad():
        for each in run.model.parameters():
            each.fill_(run.progress.epoch + 1)
    run.progress.step += 3
    run.end_epoch({"loss": 1.0, "top1": 1.0, "top5": 1.0}, {"loss": 1.0, "top1": top1, "top5": 1.0, "count": 16})
    run.saver.close()  # waits


def epochs_on_disk(folder: Path) -> tuple[int, int]:
    """Of last.ckpt and best.ckpt, by their weights, which are those that their progress and metrics say."""
    found = []
    for name in (checkpoint.LAST, checkpoint.BEST):
        state = checkpoint.load(folder / name)
        (epoch,) = {float(value.flatten()[0]) for value in state["model"].values()}
        assert epoch == state["progress"]["epoch"]
        found.append(int(epoch))
    best = checkpoint.load(folder / checkpoint.LAST)["progress"]["best"]
    assert best["epoch"] == found[1]
    return found[0], found[1]


def test_epochs_that_end_too_soon_wait_and_the_best_of_them_is_written_as_it_was(
    make_run: MakeRun, tmp_path: Path, clock: Clock
) -> None:
    run = make_run(*TENTH, folder=tmp_path / "run", clock=clock)
    end_epoch(run, 0.5)
    assert epochs_on_disk(tmp_path / "run") == (1, 1)  # took 2 s: the next not before 20 s from its start
    for top1 in (0.6, 0.8, 0.7):
        clock.now += 5
        end_epoch(run, top1)
    assert epochs_on_disk(tmp_path / "run") == (1, 1)
    clock.now += 3  # 20 s
    end_epoch(run, 0.6)
    assert epochs_on_disk(tmp_path / "run") == (5, 3)  # took 4 s: 40 s
    clock.now += 35
    end_epoch(run, 0.9)
    assert epochs_on_disk(tmp_path / "run") == (5, 3)
    clock.now += 1
    end_epoch(run, 0.95)
    assert epochs_on_disk(tmp_path / "run") == (7, 7)
    assert (tmp_path / "run" / checkpoint.LAST).samefile(tmp_path / "run" / checkpoint.BEST)


def test_what_waits_is_written_when_the_run_ends_or_is_told_to_stop(
    make_run: MakeRun, tmp_path: Path, clock: Clock
) -> None:

    run = make_run("checkpoint.time_share=0.000001", folder=tmp_path / "run", clock=clock)

    def stop_at_seven() -> None:
        if run.progress.step == 7:
            raise StopError

    run.run.heed = stop_at_seven
    assert run.fit() == loop.STOPPED
    run.report.close()
    stopped = checkpoint.load(tmp_path / "run" / checkpoint.LAST)["progress"]
    assert (stopped["epoch"], stopped["step"]) == (2, 7)
    best = checkpoint.load(tmp_path / "run" / checkpoint.BEST)["progress"]
    assert best["epoch"] == stopped["best"]["epoch"]
    run = make_run("checkpoint.time_share=0.000001", folder=tmp_path / "run", clock=clock)
    assert run.fit() == loop.FINISHED
    last = checkpoint.load(tmp_path / "run" / checkpoint.LAST)["progress"]
    assert last["epoch"] == 3
    best = checkpoint.load(tmp_path / "run" / checkpoint.BEST)["progress"]
    assert best["epoch"] == last["best"]["epoch"]


def test_a_state_that_is_on_disk_is_not_written_again(
    make_run: MakeRun, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(folder=tmp_path / "run", clock=clock)
    end_epoch(run, 0.5)
    before, rooms = clock.now, list[Path]()
    monkeypatch.setattr(generations, "keep", lambda folder, keep: rooms.append(folder))
    run.saver.write(None)
    assert clock.now == before and rooms == []
    run.progress.step += 1
    run.saver.write(None)
    assert clock.now == before + 2 and rooms == [tmp_path / "run"]


def test_what_fails_leaves_the_best_where_it_waits_and_the_pair_before_it(
    make_run: MakeRun, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(*TENTH, folder=tmp_path / "run", clock=clock)
    run.saver.fail()
    assert not list((tmp_path / "run").glob("*.ckpt"))
    end_epoch(run, 0.5)
    run.saver.fail()  # it is on disk
    assert not (tmp_path / "run" / "older").exists()
    end_epoch(run, 0.6)
    monkeypatch.setattr(dist, "rank", lambda: 1)
    run.saver.fail()
    assert epochs_on_disk(tmp_path / "run") == (1, 1)
    monkeypatch.undo()
    run.saver.fail()
    assert epochs_on_disk(tmp_path / "run") == (2, 2)
    (older,) = (tmp_path / "run" / "older").iterdir()
    assert epochs_on_disk(older) == (1, 1)


def test_every_epoch_is_written_where_that_is_asked_for(make_run: MakeRun, tmp_path: Path, clock: Clock) -> None:
    run = make_run("checkpoint.time_share=1", "trainer.epochs=50", folder=tmp_path / "run", clock=clock)
    for number, top1 in enumerate((0.5, 0.6, 0.4, 0.7), start=1):
        end_epoch(run, top1)
        assert epochs_on_disk(tmp_path / "run")[0] == number


def test_the_pair_before_is_kept_also_of_an_epoch_that_was_not_the_best(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("checkpoint.time_share=1", "trainer.epochs=50", folder=tmp_path / "run")
    for number, top1 in enumerate((0.5, 0.4, 0.3), start=1):
        end_epoch(run, top1)
        assert epochs_on_disk(tmp_path / "run") == (number, 1)
    (older,) = (tmp_path / "run" / "older").iterdir()
    assert epochs_on_disk(older) == (2, 1)


@pytest.mark.parametrize("every", ["null", "1"])
def test_after_a_loss_that_is_not_a_number_the_run_continues_from_the_best_epoch(
    make_run: MakeRun, tmp_path: Path, clock: Clock, every: str
) -> None:
    run = make_run(*TENTH, f"checkpoint.every_steps={every}", folder=tmp_path / "run", clock=clock)
    end_epoch(run, 0.5)
    end_epoch(run, 0.6)
    assert epochs_on_disk(tmp_path / "run")[0] < 2  # it waits in memory
    with torch.no_grad():
        next(run.model.parameters()).fill_(float("nan"))
    with pytest.raises(RunError, match="the training loss is nan or infinite in step 1 of epoch 3:"):
        run.fit()
    assert epochs_on_disk(tmp_path / "run") == (2, 2)


def test_what_is_frozen_is_not_copied_and_is_written_before_it_is_released(
    make_run: MakeRun, tmp_path: Path, clock: Clock
) -> None:
    words = (*TENTH, "transfer=head_then_full", "transfer.probe_epochs=3", "model.pretrained=false")
    run = make_run(*words, "trainer.ema_decay=0.5", folder=tmp_path / "run", clock=clock)
    body = {name: value.clone() for name, value in run.freezing.values().items()}
    for epoch in range(4):
        run.begin_epoch()
        with torch.no_grad():
            for each in (p for p in run.model.parameters() if p.requires_grad):
                each.fill_(epoch + 1)
        run.progress.step += 3
        run.end_epoch({"loss": 1.0, "top1": 1.0}, {"loss": 1.0, "top1": epoch / 10, "count": 16})
        run.saver.close()
        on_disk = checkpoint.load(tmp_path / "run" / checkpoint.BEST)
        if epoch == 1:  # epoch 2 waits in memory, all but its body
            assert on_disk["progress"]["epoch"] == 1
        if epoch == 3:  # the third was written when the body was released
            assert on_disk["progress"]["epoch"] == 3
            assert all(torch.equal(on_disk["model"][name], value) for name, value in body.items())
            (head,) = {float(v.flatten()[0]) for name, v in on_disk["model"].items() if name not in body}
            assert head == 3


@pytest.mark.parametrize("lost", ["another", "gone"])
def test_a_best_checkpoint_that_is_not_the_one_of_the_last_is_not_taken_for_it(
    lost: str, make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run("checkpoint.time_share=1", "trainer.epochs=50", folder=tmp_path / "run")
    for top1 in (0.5, 0.4):
        end_epoch(run, top1)
    kept = (tmp_path / "run" / checkpoint.LAST).read_bytes()
    end_epoch(run, 0.9)
    (tmp_path / "run" / checkpoint.LAST).unlink()
    (tmp_path / "run" / checkpoint.LAST).write_bytes(kept)  # as if killed between the two files of epoch 3
    if lost == "gone":
        (tmp_path / "run" / checkpoint.BEST).unlink()
    again = make_run("checkpoint.time_share=1", "trainer.epochs=50", folder=tmp_path / "run")
    assert again.progress.best is None
    end_epoch(again, 0.3)
    assert epochs_on_disk(tmp_path / "run") == (3, 3)


def test_the_best_checkpoint_of_the_last_is_kept(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("checkpoint.time_share=1", "trainer.epochs=50", folder=tmp_path / "run")
    for top1 in (0.5, 0.4):
        end_epoch(run, top1)
    again = make_run("checkpoint.time_share=1", "trainer.epochs=50", folder=tmp_path / "run")
    assert again.progress.best is not None


def test_the_configuration_of_a_resume_is_written_with_its_first_checkpoint(make_run: MakeRun, tmp_path: Path) -> None:
    words, config = ("checkpoint.time_share=1", "trainer.epochs=50"), tmp_path / "run" / folder.CONFIG
    run = make_run(*words, folder=tmp_path / "run")
    end_epoch(run, 0.5)
    assert not config.exists()  # that of a new run is written when its folder is made
    again = make_run(*words, "trainer.log_every=7", folder=tmp_path / "run")
    assert not config.exists()
    end_epoch(again, 0.4)
    assert yaml.safe_load(config.read_text())["trainer"]["log_every"] == 7
    config.unlink()
    end_epoch(again, 0.3)
    assert not config.exists()  # once


def test_a_share_of_the_time_is_above_zero_and_at_most_all_of_it(configure: Callable[..., Any]) -> None:

    for share in ("0", "-0.1", "1.5"):
        with pytest.raises(ConfigError, match=r"time_share=.* must be a number above 0 and at most 1"):
            configure(f"checkpoint.time_share={share}")


class Held:
    """Writing of checkpoints, which goes on when it is let go; notes whether two are written at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.begun, self.at_once, self._write = threading.Event(), threading.Event(), 0, checkpoint.save
        self.most = 0
        monkeypatch.setattr(checkpoint, "save", self)

    def __call__(self, path: Path, state: Any) -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.begun.set()
        assert self.go.wait(20)
        try:
            self._write(path, state)
        finally:
            self.at_once -= 1

    def after(self, seconds: float) -> None:
        """Let go in a while."""
        threading.Timer(seconds, self.go.set).start()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held(monkeypatch)
    yield held
    held.go.set()


def fill(run: Run, value: float) -> None:
    """Weights, their average and what the optimizer keeps are one number; the step is, too."""
    with torch.no_grad():
        for network in (run.state.model, run.state.eval_model):
            for each in network.state_dict().values():
                each.fill_(value)
        for group in run.state.optimizer.param_groups:
            for each in group["params"]:
                run.state.optimizer.state[each]["momentum_buffer"] = torch.full_like(each, value)
    run.progress.step = int(value)


def numbers_of(state: dict[str, Any]) -> set[float]:
    """Those of all tensors of a state, and its step."""
    kept = [each["momentum_buffer"] for each in state["optimizer"]["state"].values()]
    tensors = [*state["model"].values(), *state["ema"].values(), *kept]
    return {state["progress"]["step"], *(float(each) for tensor in tensors for each in tensor.unique())}


def test_what_is_written_is_the_state_as_it_was_whatever_training_does_meanwhile(
    make_run: MakeRun, tmp_path: Path, held: Held
) -> None:
    run = make_run("trainer.ema_decay=0.5", "model=resnet20", folder=tmp_path / "run")
    fill(run, 3)
    run.saver.begin_write([0.0])  # returns while nothing is written
    assert held.begun.wait(20) and not (tmp_path / "run" / checkpoint.LAST).exists()
    fill(run, 4)
    held.go.set()
    run.saver.close()
    assert numbers_of(checkpoint.load(tmp_path / "run" / checkpoint.LAST)) == {3}


def test_the_next_write_waits_for_the_one_under_way(make_run: MakeRun, tmp_path: Path, held: Held) -> None:
    run = make_run("trainer.ema_decay=0.5", folder=tmp_path / "run")
    fill(run, 1)
    run.saver.begin_write([0.0])
    for step, write in enumerate((run.saver.begin_write, run.saver.write, run.saver.begin_write), start=2):
        fill(run, step)
        held.after(0.05)
        write([0.0])
        on_disk = checkpoint.load(tmp_path / "run" / checkpoint.LAST)["progress"]["step"]
        assert on_disk >= step - 1
    run.saver.close()
    assert held.most == 1
    assert numbers_of(checkpoint.load(tmp_path / "run" / checkpoint.LAST)) == {4}


def test_no_epoch_is_due_while_one_is_written_and_the_next_best_one_waits_for_it(
    make_run: MakeRun, tmp_path: Path, held: Held
) -> None:
    run = make_run(*TENTH, folder=tmp_path / "run")
    for epoch, top1 in ((1, 0.5), (2, 0.4)):
        run.progress.step = 3 * epoch
        run.end_epoch({"loss": 1.0, "top1": 1.0}, {"loss": 1.0, "top1": top1, "count": 16})
    assert not list((tmp_path / "run").glob("*.ckpt"))  # the second one had not to wait
    held.after(0.05)
    run.progress.step = 9
    run.end_epoch({"loss": 1.0, "top1": 1.0}, {"loss": 1.0, "top1": 0.6, "count": 16})
    assert checkpoint.load(tmp_path / "run" / checkpoint.BEST)["progress"]["epoch"] == 1
    run.saver.settle()
    assert checkpoint.load(tmp_path / "run" / checkpoint.BEST)["progress"]["epoch"] == 3


def test_nothing_frozen_is_released_before_it_is_written(make_run: MakeRun, tmp_path: Path, held: Held) -> None:
    words = ("transfer=gradual", "transfer.every=1", "model.pretrained=false", "checkpoint.time_share=1")
    run = make_run(*words, folder=tmp_path / "run")
    run.begin_epoch()
    held.go.set()
    for step, top1 in ((3, 0.5), (6, 0.4)):
        run.progress.step = step
        run.end_epoch({"loss": 1.0, "top1": 1.0}, {"loss": 1.0, "top1": top1, "count": 16})
        if step == 3:
            run.saver.close()
            held.go.clear()
    begin, steps = run.state.begin_phase, list[int]()

    def released() -> None:
        steps.append(checkpoint.load(tmp_path / "run" / checkpoint.LAST)["progress"]["step"])
        begin()

    run.state.begin_phase = released
    held.after(0.5)
    run.begin_epoch()
    assert steps == [6]


@pytest.mark.parametrize("when", ["next step", "next write", "end of the epoch", "end"])
def test_a_write_that_fails_in_the_thread_ends_the_training_at_its_next_step_write_or_end(
    when: str, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a full disk does: by an error that names the file, with the pair before as it was."""
    every = {"next step": 4, "next write": 1, "end of the epoch": 3, "end": 9}[when]
    run = make_run(f"checkpoint.every_steps={every}", "checkpoint.time_share=0.000001", folder=tmp_path / "run")
    fill(run, 0)
    run.saver.write(None)
    if when != "next step":
        monkeypatch.setattr(run.saver, "check", lambda: None)
    opened, may_fail, threads = open, threading.Event(), threading.active_count()

    def full(path: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if "w" in mode and ".ckpt." in str(path):
            assert may_fail.wait(20)
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return opened(path, mode, *rest, **options)

    def failed() -> None:
        if run.saver._behind.is_busy:
            may_fail.set()
        while run.saver._behind.is_busy:
            time.sleep(0.001)

    run.run.heed = failed  # at the end of the step in which the write began
    monkeypatch.setattr("builtins.open", full)
    message = r"cannot write .*(last|best)\.ckpt: No space left on device"
    with pytest.raises(RunError, match=message):
        run.fit()
    monkeypatch.undo()
    assert run.progress.step == {"next step": 5, "next write": 2, "end of the epoch": 3, "end": 9}[when]
    assert checkpoint.load(tmp_path / "run" / checkpoint.LAST)["progress"]["step"] == 0
    assert threading.active_count() == threads
    again = make_run(folder=tmp_path / "run")
    assert again.fit() == loop.FINISHED


def test_however_training_ends_nothing_is_written_afterwards(make_run: MakeRun, tmp_path: Path, held: Held) -> None:
    """Else another process, which finds the folder free, would meet it."""
    run = make_run("checkpoint.every_steps=1", folder=tmp_path / "run")

    def interrupted() -> None:
        held.after(0.05)
        raise KeyboardInterrupt

    run.run.heed = interrupted
    with pytest.raises(KeyboardInterrupt):
        run.fit()
    assert held.at_once == 0
    assert checkpoint.load(tmp_path / "run" / checkpoint.LAST)["progress"]["step"] == 1

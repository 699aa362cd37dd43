"""What a run promises: an interrupted one ends with the same bytes as one that was not."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from slow import slow_if

from cnntrain.augment.batched.disturbed import Disturbed
from cnntrain.core import dist, seeds
from cnntrain.core.digest import digest
from cnntrain.core.draws import Draws
from cnntrain.core.errors import ConfigError, InputError, RunError, StopError
from cnntrain.data.batches.plan import Share
from cnntrain.runs import checkpoint
from cnntrain.runs.report import Moment, Report
from cnntrain.tasks.segment.metrics import Totals
from cnntrain.tasks.segment.objective import Segmentation
from cnntrain.training import loop, tuning
from cnntrain.training.graphs import Recorded
from cnntrain.training.precision import arithmetic
from cnntrain.training.run import Run
from cnntrain.transfer.frozen.phase import Phase

MakeRun = Callable[..., Run]


class KilledError(Exception):
    """Stands for SIGKILL: nothing after it runs."""


class Interrupted(Report):
    """Kills the run after a number of its steps, or right after it has logged an epoch's line."""

    def __init__(self, run: Any, kill_at: int, after_epoch_line: bool = False):
        super().__init__(run.report.columns, run.report.sinks)
        self.progress = run.progress
        self.kill_at = kill_at
        self.after_epoch_line = after_epoch_line

    def step_done(self, now: Moment, loss: Callable[[], float]) -> None:
        super().step_done(now, loss)
        if self.progress.step == self.kill_at and not self.after_epoch_line:
            raise KilledError

    def epoch_done(self, step: int, *what: Any) -> None:
        super().epoch_done(step, *what)
        if step == self.kill_at and self.after_epoch_line:
            raise KilledError


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("trainer.ema_decay=null", "trainer.ema_decay=0.9"),
        ("trainer.ema_decay=0.9", "trainer.ema_decay=null"),
        ("optim.momentum=0", "optim.momentum=0.9"),
        ("optim.momentum=0.9", "optim.momentum=0"),
        ("trainer.precision=float16", "trainer.precision=float32"),
        ("trainer.precision=bfloat16", "trainer.precision=float64"),
        ("schedule.max_reductions=1", "schedule.max_reductions=2"),
        ("optim.decay_norms_and_biases=true", "optim.decay_norms_and_biases=false"),
    ],
)
def test_a_resume_goes_on_after_what_may_change(make_run: MakeRun, tmp_path: Path, before: str, after: str) -> None:
    make_run(before, "trainer.epochs=1", folder=tmp_path / "run").fit()
    run = make_run(after, "trainer.epochs=2", folder=tmp_path / "run")
    assert run.fit() == loop.FINISHED and run.progress.epoch == 2


def train(make_run: MakeRun, folder: Path, overrides: tuple[str, ...], kills: list[int], **how: bool) -> Run:
    """Train to the end, killed at each of `kills` (steps) and started again from last.ckpt, if there is one."""
    for kill_at in kills:
        run = make_run(*overrides, folder=folder)
        run.report = Interrupted(run, kill_at, **how)
        with pytest.raises(KilledError):
            run.fit()
        run.report.close()
    run = make_run(*overrides, folder=folder)
    assert run.fit() == loop.FINISHED
    run.report.close()
    return run


def content(folder: Path, name: str = checkpoint.LAST) -> dict[str, Any]:
    """All of a checkpoint that a resume must reproduce: everything but the measured times."""
    state = checkpoint.load(folder / name)
    timing = ("seconds", "data_wait", "images")
    state["progress"] = {key: value for key, value in state["progress"].items() if key not in timing}
    return state


def assert_same(one: Path, other: Path, metrics_of: Callable[[Path], list[dict[str, Any]]]) -> None:
    for name in (checkpoint.LAST, checkpoint.BEST):
        expected, found = content(one, name), content(other, name)
        differing = [key for key in expected if digest(expected[key]) != digest(found[key])]
        assert not differing, name
    assert metrics_of(one) == metrics_of(other)


def stop_when(comes: Callable[[], bool]) -> Callable[[], None]:
    """Stands for a signal that comes at some moment."""

    def heed() -> None:
        if comes():
            raise StopError

    return heed


BN = ("model=resnet20", "data.image_size=16")
PLATEAU = ("schedule=plateau", "schedule.patience=0", "schedule.threshold=0.2", "schedule.warmup_epochs=1.5")
COSINE = ("schedule=cosine", "schedule.warmup_epochs=0.5")
FLIP, EMA, DROP = ("augment=flip_crop",), ("trainer.ema_decay=0.8",), ("model.drop_rate=0.3",)
ADAMW, TWO, SAVE = ("optim=adamw", "optim.lr=0.003"), ("trainer.grad_accum=2",), ("checkpoint.every_steps=2",)
# every value of every option, and every pair of options somewhere
CASES = {
    "plateau-sgd-drop-flip-2-ema": (*BN, *PLATEAU, *DROP, *FLIP, *TWO, *EMA, *SAVE),
    "plateau-adamw-plain-1": (*BN, *PLATEAU, *ADAMW, *SAVE, "trainer.log_every=1"),
    "cosine-adamw-drop-flip-2": (*BN, *COSINE, *ADAMW, *DROP, *FLIP, *TWO, *SAVE, "trainer.clip_norm=0.5"),
    "cosine-sgd-plain-1-ema": (*BN, *COSINE, *EMA, *SAVE, "trainer.label_smoothing=0.1", "data.train_size=49"),
    "plateau-rmsprop-drop-2": ("optim=rmsprop", *PLATEAU, *DROP, *TWO, *SAVE, "optim.lr=0.002", "data.train_size=38"),
    "cosine-sgd-drop-flip-1-ema": ("augment=imagenet", *COSINE, *DROP, *EMA, *SAVE, "optim.nesterov=true"),
    "multistep-frozen": (*BN, "schedule=multistep", "schedule.milestones=[1,2]", "transfer=freeze_depth",
                         "transfer.depth=2", "model.pretrained=false", *DROP, *FLIP, *SAVE),
    "lookahead-gradual": (*BN, *DROP, *FLIP, *SAVE, "augment.padding_mode=reflect", "augment.alternate_flip=true",
                          "schedule=triangle", "trainer.lookahead.every=2", "trainer.lookahead.start_epoch=1",
                          "transfer=gradual", "transfer.every=1", "model.pretrained=false"),
    "epoch-ends-only": (*BN, *PLATEAU, *DROP, *FLIP, *EMA),
}  # fmt: skip
MORE = ("plateau-adamw-plain-1", "cosine-sgd-plain-1-ema")  # the others have their parts, in other pairs


@pytest.mark.no_cover
@pytest.mark.parametrize("name", slow_if(MORE, CASES))
def test_a_killed_and_resumed_run_ends_with_the_same_bytes(
    name: str, make_run: MakeRun, tmp_path: Path, metrics_of: Any
) -> None:
    kills = [4, 8] if name == "epoch-ends-only" else [3, 6, 8]  # 3 steps an epoch, saved at 2, 4, 6, 8
    train(make_run, tmp_path / "straight", CASES[name], [])
    train(make_run, tmp_path / "killed", CASES[name], kills)
    assert_same(tmp_path / "straight", tmp_path / "killed", metrics_of)
    assert len([line for line in metrics_of(tmp_path / "killed") if "epoch" in line]) == 3


@pytest.mark.parametrize("every", [1, 3, "null"])
def test_a_run_killed_between_an_epochs_line_and_its_checkpoint(
    every: int | str, make_run: MakeRun, tmp_path: Path, metrics_of: Any
) -> None:
    overrides = (*PLATEAU, *DROP, f"checkpoint.every_steps={every}")
    train(make_run, tmp_path / "straight", overrides, [])
    train(make_run, tmp_path / "killed", overrides, [3, 9], after_epoch_line=True)
    assert_same(tmp_path / "straight", tmp_path / "killed", metrics_of)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_kill_at_every_step_in_turn_changes_nothing(
    workers: int, make_run: MakeRun, tmp_path: Path, metrics_of: Any
) -> None:
    overrides = (*PLATEAU, *DROP, *FLIP, "checkpoint.every_steps=1")
    kills = list(range(2, 10)) if workers == 0 else [5]
    train(make_run, tmp_path / "straight", overrides, [])
    train(make_run, tmp_path / "killed", (*overrides, f"data.num_workers={workers}"), kills)
    (expected, found) = (content(tmp_path / name) for name in ("straight", "killed"))
    assert digest(expected["model"]) == digest(found["model"])
    assert digest(expected["optimizer"]) == digest(found["optimizer"])
    assert metrics_of(tmp_path / "straight") == metrics_of(tmp_path / "killed")


@pytest.mark.no_cover
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kills=st.lists(st.integers(1, 9), max_size=3, unique=True).map(sorted),
    every=st.sampled_from(["null", 1, 2, 4]),
    shape=st.sampled_from([(), TWO, EMA, COSINE, FLIP, (*PLATEAU, *DROP)]),
    longest=st.integers(5, 9),
    share=st.sampled_from([0.000001, 0.1, 1]),
)
def test_kills_anywhere(
    kills: list[int],
    every: int | str,
    shape: tuple[str, ...],
    longest: int,
    share: float,
    make_run: MakeRun,
    tmp_path_factory: pytest.TempPathFactory,
    metrics_of: Any,
) -> None:
    folder = tmp_path_factory.mktemp("kills")
    overrides = (*shape, f"checkpoint.every_steps={every}", f"trainer.max_steps={longest}")
    overrides = (*overrides, f"checkpoint.time_share={share}")
    train(make_run, folder / "straight", overrides, [])
    train(make_run, folder / "killed", overrides, [kill for kill in kills if kill <= longest])
    assert_same(folder / "straight", folder / "killed", metrics_of)


@pytest.mark.parametrize("step", [1, 3, 9])
def test_a_stop_signal_saves_after_the_step_and_the_resumed_run_is_exact(
    step: int, make_run: MakeRun, tmp_path: Path, metrics_of: Any
) -> None:
    overrides = (*PLATEAU, *DROP, *FLIP, *EMA, "trainer.log_every=2")
    train(make_run, tmp_path / "straight", overrides, [])
    run = make_run(*overrides, folder=tmp_path / "stopped")
    run.run.heed = stop_when(lambda: run.progress.step == step)
    assert run.fit() == loop.STOPPED
    run.report.close()
    assert content(tmp_path / "stopped")["progress"]["step"] == step
    train(make_run, tmp_path / "stopped", overrides, [])
    assert_same(tmp_path / "straight", tmp_path / "stopped", metrics_of)


@pytest.mark.no_cover
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_stop_in_a_validation_saves_and_the_resumed_run_is_exact(
    epoch: int, make_run: MakeRun, tmp_path: Path, metrics_of: Any
) -> None:
    overrides = (*PLATEAU, *DROP, *FLIP, *EMA, *BN, "data.val_size=40")
    train(make_run, tmp_path / "straight", overrides, [])
    run = make_run(*overrides, folder=tmp_path / "stopped")
    polls: list[int] = []

    def second_batch_of_val() -> bool:
        if run.progress.step == 3 * epoch:  # after the last step, then between the batches of val
            polls.append(run.progress.epoch)
        return len(polls) == 3

    run.run.heed = stop_when(second_batch_of_val)
    assert run.fit() == loop.STOPPED
    assert polls == [epoch - 1] * 3
    run.report.close()
    train(make_run, tmp_path / "stopped", overrides, [])
    assert_same(tmp_path / "straight", tmp_path / "stopped", metrics_of)


@pytest.mark.parametrize(("before", "after"), [(8, 16), (16, 8), (8, 4)])
def test_a_runs_length_and_its_milestones_are_counted_in_epochs(
    before: int, after: int, make_run: MakeRun, tmp_path: Path, metrics_of: Any
) -> None:
    """Of another batch size: 2 epochs of 8 and then of 16 were taken for 4 epochs, and a milestone came late."""
    words = ("schedule=multistep", "schedule.milestones=[1,3]", "optim.lr=0.02")
    train(make_run, tmp_path / "run", (*words, f"data.batch_size={before}", "trainer.epochs=2"), [])
    run = train(make_run, tmp_path / "run", (*words, f"data.batch_size={after}", "trainer.epochs=4"), [])
    assert run.progress.epoch == 4
    assert run.progress.step == 2 * 48 // before + 2 * 48 // after
    assert [line["lr"] for line in metrics_of(tmp_path / "run")] == pytest.approx([0.02, 0.002, 0.002, 0.0002])


def test_another_batch_size_goes_on_at_the_same_sample_of_an_epoch(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("data.batch_size=8", "checkpoint.every_steps=1", folder=tmp_path / "run")
    run.report = Interrupted(run, 3)  # after 16 of 48 samples were saved
    with pytest.raises(KilledError):
        run.fit()
    run.report.close()
    again = make_run("data.batch_size=4", folder=tmp_path / "run")
    again.begin_epoch()
    labels = again.data.train.labels
    seen = [int(label) for batch in again.train_batches() for label in batch.targets]
    order = torch.cat(list(again.loaders.train_plan(0)))
    assert seen == [int(labels[position]) for position in order[16:]]
    run = make_run("data.train_size=33", "data.batch_size=16", folder=tmp_path / "over")
    run.progress.step_in_epoch = run.step.steps_per_epoch  # stopped in the validation
    run.saver.write(None)
    again = make_run("data.train_size=33", "data.batch_size=8", folder=tmp_path / "over")
    assert again.progress.step_in_epoch == again.step.steps_per_epoch == 5


def test_a_run_that_has_ended_stays_as_it_is(make_run: MakeRun, tmp_path: Path, metrics_of: Any) -> None:
    train(make_run, tmp_path / "run", SAVE, [])
    before, lines = content(tmp_path / "run"), metrics_of(tmp_path / "run")
    train(make_run, tmp_path / "run", SAVE, [])
    assert digest(content(tmp_path / "run")) == digest(before)
    assert metrics_of(tmp_path / "run") == lines


def test_more_epochs_continue_as_if_they_had_been_asked_for_at_first(
    make_run: MakeRun, tmp_path: Path, metrics_of: Any
) -> None:
    train(make_run, tmp_path / "straight", PLATEAU, [])
    train(make_run, tmp_path / "longer", (*PLATEAU, "trainer.epochs=2"), [])
    train(make_run, tmp_path / "longer", PLATEAU, [])
    assert_same(tmp_path / "straight", tmp_path / "longer", metrics_of)


def test_fewer_steps_than_were_done_end_the_epoch_under_way(make_run: MakeRun, tmp_path: Path) -> None:
    overrides = ("checkpoint.every_steps=1", "data.batch_size=4", "trainer.epochs=1")  # 12 steps an epoch
    run = make_run(*overrides, folder=tmp_path / "run")
    run.report = Interrupted(run, 7)
    with pytest.raises(KilledError):
        run.fit()
    run.report.close()
    shorter = train(make_run, tmp_path / "run", (*overrides, "trainer.max_steps=2"), [])
    assert shorter.progress.step == 6
    assert shorter.progress.epoch == 1


def test_max_steps_end_a_run_within_an_epoch_with_a_validation(make_run: MakeRun, tmp_path: Path) -> None:
    run = train(make_run, tmp_path / "run", ("trainer.max_steps=4",), [])
    assert (run.progress.step, run.progress.epoch) == (4, 2)
    assert run.progress.best is not None


@pytest.mark.parametrize(
    ("epoch", "in_epoch", "most", "left"),
    [(0, 0, "null", 3), (1, 0, "null", 2), (1, 2, "null", 2), (0, 0, 4, 2), (2, 2, "null", 1), (0, 0, 9, 3)],
)
def test_images_are_read_in_as_many_epochs_as_are_left(
    epoch: int, in_epoch: int, most: int | str, left: int, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(f"trainer.max_steps={most}")
    held: list[Any] = []
    monkeypatch.setattr(type(run.loaders), "hold", lambda self, parts, passes, *_: held.append((parts, passes)))
    run.progress.epoch, run.progress.step_in_epoch = epoch, in_epoch
    phase = run.begin_epoch()
    assert held == [(["train", "val"], left)]
    run.begin_epoch()
    assert len(held) == 1 and run.run.phase is phase  # that of the same frozen parameters goes on


def test_networks_are_compiled_as_their_phase_begins(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    monkeypatch.setattr(Phase, "compile", lambda self: compiled.append(self))
    monkeypatch.setattr(tuning, "_can_compile", lambda: True)
    make_run().begin_epoch()
    assert compiled == []
    run = make_run("trainer.compile=on")
    assert [run.begin_epoch() for _ in range(2)] == compiled * 2


def test_a_phase_begins_in_which_something_else_is_frozen(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("transfer=gradual", "transfer.every=1", "model.pretrained=false", folder=tmp_path / "run")
    first = run.begin_epoch()
    run.progress.seconds = 100.0
    run.saver._best = run.state_dict()  # waits to be written, since what it holds of the frozen is not copied
    run.progress.epoch = 1
    second = run.begin_epoch()
    assert second is not first and run.progress.phase == 1
    assert (tmp_path / "run" / checkpoint.BEST).exists()
    assert run.progress.kept == second.remembered and run.progress.seconds == 100.0 + second.seconds
    assert second.seconds > 0 and run.model.training


def test_each_micro_batch_has_its_own_seed_and_the_last_exchanges_gradients(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("trainer.grad_accum=2", "seed=7")
    seen: list[Any] = []
    monkeypatch.setattr(dist, "sync_gradients", lambda network, on: seen.append(on))
    monkeypatch.setattr(seeds, "seed_step", lambda *parts: seen.append(parts))
    run.progress.step, run.progress.step_in_epoch = 10, 1
    run.begin_epoch()
    for batch in run.train_batches():
        run.train_step(batch)
    assert seen == [
        False, (7, "step", 10, 0, 0), True, (7, "step", 10, 1, 0), False, (7, "step", 11, 0, 0), True,
        (7, "step", 11, 1, 0),
    ]  # fmt: skip


class Asked:
    """Stands for a report and a saver: what they are told, and after how many steps."""

    def __init__(self, run: Any) -> None:
        self.run = run
        self.told: list[tuple[str, int]] = []

    def say(self, what: Any) -> None:
        pass

    def log(self, step: int, values: Any) -> None:
        assert values.keys() == {"train/loss", "lr"} and values["lr"] == self.run.step.rate()
        self.told.append(("log", step))

    def step_done(self, now: Moment, loss: Callable[[], float]) -> None:
        assert now == self.run.moment() and loss() == self.run.tally.totals.mean_loss()
        self.told.append(("shown", self.run.progress.step))

    def begin_write(self, sums: Any) -> None:
        assert sums == self.run.tally.totals.reduced()
        self.told.append(("written", self.run.progress.step))

    def check(self) -> None:
        self.told.append(("checked", self.run.progress.step))


def test_every_so_many_steps_are_logged_and_saved(make_run: MakeRun) -> None:
    run = make_run("trainer.log_every=2", "checkpoint.every_steps=3")
    asked: Any = Asked(run)
    assert run.usage.first_step is None
    run.begin_epoch()
    for batch in run.train_batches():
        loss, judged = run.objective.loss(run.run.phase.network(batch.inputs), batch.targets)
        run.tally.add(loss.detach(), judged, batch.targets)
        run.step(loss)
        run.run.step_done(asked, asked)
    assert run.usage.first_step is not None
    written = [each for each in asked.told if each[0] != "checked"]
    assert written == [("shown", 1), ("log", 2), ("shown", 2), ("shown", 3), ("written", 3)]
    assert asked.told[-1] == ("checked", 3)  # what is written meanwhile may have failed


def test_the_last_losses_of_an_epoch_are_looked_at_before_its_validation(make_run: MakeRun) -> None:
    run = make_run("optim.lr=1e30")
    run.run.poll = lambda: False  # as on a GPU, which is seldom asked
    with pytest.raises(RunError, match="the training loss is nan or infinite in step 3 of epoch 1"):
        run.train_epoch()


def test_rates_follow_the_schedule_and_the_heads_multiplier(make_run: MakeRun) -> None:
    run = make_run("schedule=cosine", "schedule.warmup_epochs=1", "transfer.head_lr_multiplier=10", "optim.lr=0.06")
    seen = []
    for _ in range(2):
        run.begin_epoch()
        for batch in run.train_batches():
            run.train_step(batch)
            seen.append([group["lr"] for group in run.optimizer.param_groups])
        run.progress.step_in_epoch = 0
        run.progress.epoch += 1
    body, head = zip(*seen, strict=True)
    assert body == pytest.approx([0.02, 0.04, 0.06, 0.06, 0.05598, 0.045], abs=1e-5)
    assert head == pytest.approx([10 * rate for rate in body])
    assert run.step.rate() == body[-1]


def test_accumulated_micro_batches_give_the_gradient_of_the_whole_batch(make_run: MakeRun) -> None:
    weights = []
    for pieces in (1, 2, 4):
        run = make_run("trainer.precision=float64", f"trainer.grad_accum={pieces}", "trainer.clip_norm=0.1")
        run.begin_epoch()
        updates = [run.train_step(batch) for batch in run.train_batches()]
        assert updates == ([False] * (pieces - 1) + [True]) * 3
        weights.append(torch.cat([p.detach().flatten() for p in run.model.parameters()]))
    assert (weights[0] - weights[1]).abs().max() < 1e-14
    assert (weights[0] - weights[2]).abs().max() < 1e-14


def test_the_gradient_is_clipped_to_the_norm(make_run: MakeRun) -> None:
    run = make_run("trainer.clip_norm=0.001", "optim.momentum=0", "optim.weight_decay=0", "optim.lr=1")
    before = torch.cat([p.detach().flatten().clone() for p in run.model.parameters()])
    run.begin_epoch()
    batch = next(iter(run.train_batches()))
    run.train_step(batch)
    after = torch.cat([p.detach().flatten() for p in run.model.parameters()])
    assert (after - before).norm().item() == pytest.approx(0.001, rel=1e-3)


def test_the_moving_average_is_the_recursion_of_its_definition(make_run: MakeRun) -> None:
    run = make_run(*BN, "trainer.ema_decay=0.9")
    expected = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.begin_epoch()
    for batch in run.train_batches():
        run.train_step(batch)
        for name, value in run.model.state_dict().items():
            moves = value.is_floating_point()
            expected[name] = 0.9 * expected[name] + 0.1 * value if moves else value.clone()
    assert run.eval_model is not run.model
    for name, value in run.eval_model.state_dict().items():
        torch.testing.assert_close(value, expected[name], msg=name)


def end_epoch(run: Run, loss: float, top1: float) -> None:
    run.end_epoch({"loss": 1.0, "top1": 1.0, "top5": 1.0}, {"loss": loss, "top1": top1, "top5": 1.0, "count": 16})


def test_early_stopping_ends_after_so_many_epochs_without_a_better_one(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("trainer.early_stopping=2", "trainer.epochs=50", "checkpoint.time_share=1", folder=tmp_path / "run")
    for top1 in (0.5, 0.6, 0.6):
        end_epoch(run, loss=1.0, top1=top1)
        assert not run.ended
    end_epoch(run, loss=0.9, top1=0.55)
    assert run.ended
    assert run.progress.best is not None
    assert run.progress.best["epoch"] == 2
    assert checkpoint.load(tmp_path / "run" / checkpoint.BEST)["progress"]["epoch"] == 2


def test_the_best_checkpoint_may_be_that_of_the_lowest_loss(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("checkpoint.metric=val/loss", folder=tmp_path / "run")
    for loss, top1 in ((2.0, 0.1), (1.0, 0.3), (1.5, 0.9)):
        end_epoch(run, loss, top1)
    assert run.progress.best is not None
    assert (run.progress.best["epoch"], run.progress.best["val/loss"]) == (2, 1.0)


def test_of_equal_accuracies_the_one_with_the_lower_loss_is_the_best(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(folder=tmp_path / "run")
    for loss, top1 in ((2.0, 0.5), (1.0, 0.5), (1.5, 0.5), (0.1, 0.4)):
        end_epoch(run, loss, top1)
    assert run.progress.best is not None
    assert run.progress.best["epoch"] == 2


def test_a_loss_that_is_not_a_number_fails_and_keeps_the_last_good_checkpoint(
    make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run("optim.lr=1e30", folder=tmp_path / "run")
    said = (
        r"loss is nan or infinite in step 3 of epoch 1: lower optim\.lr, which was 1e\+30 \(try 1e\+29, "
        r"schedule\.warmup_epochs=1 or trainer\.clip_norm=1\), or look at the step's images"
    )
    with pytest.raises(RunError, match=said + r": (train/\d+, ){7}train/\d+ and 8 more$"):
        run.fit()
    assert not (tmp_path / "run" / checkpoint.LAST).exists()


def test_the_images_of_a_step_are_named_wherever_they_were_shared_out(make_run: MakeRun) -> None:
    loaders = make_run("trainer.grad_accum=2").run.loaders
    for step in range(loaders.steps_per_epoch):
        shown = [int(each) for plan in loaders.train_plan(3)[2 * step : 2 * step + 2] for each in plan]
        assert loaders.step_ids(3, step) == [loaders.train.samples.part.ids[each] for each in shown]
    shared = replace(loaders, share=Share(1, 2, 2))
    assert [len(shared.step_ids(3, step)) for step in range(3)] == [16, 16, 16]


@pytest.mark.parametrize("rate", ["1e30", "1e38"])
def test_weights_that_are_no_numbers_are_never_saved(make_run: MakeRun, tmp_path: Path, rate: str) -> None:
    run = make_run(f"optim.lr={rate}", "checkpoint.every_steps=1", "model.drop_rate=0", folder=tmp_path / "run")
    with pytest.raises(
        RunError, match=r"(training loss is nan or infinite in|weights are nan or infinite after) step \d"
    ):
        run.fit()
    for file in (tmp_path / "run").rglob("*.ckpt"):
        assert all(value.isfinite().all() for value in checkpoint.load(file)["model"].values())


def test_a_validation_that_is_no_number_is_never_the_best(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(folder=tmp_path / "run")
    with pytest.raises(RunError, match="the validation loss is nan after epoch 1: lower"):
        end_epoch(run, float("nan"), 0.5)
    assert run.progress.best is None and not list((tmp_path / "run").rglob("*.ckpt"))


def test_a_checkpoint_of_other_classes_or_another_model_is_refused(make_run: MakeRun) -> None:
    state = make_run().state_dict()
    with pytest.raises(InputError, match=r"the data's classes .* are not the run's"):
        make_run("data.num_classes=5").load_state_dict(state)
    with pytest.raises(InputError, match="the checkpoint does not fit this configuration"):
        make_run("model=resnet20").load_state_dict(state)


def test_settings_typed_at_a_resume_win_over_the_checkpoints(make_run: MakeRun) -> None:
    state = make_run("optim.lr=0.1").state_dict()
    run = make_run("optim.lr=0.3", "optim.momentum=0.5", "optim.weight_decay=0.01")
    run.load_state_dict(state)
    group = run.optimizer.param_groups[0]
    assert (group["base_lr"], group["momentum"], group["weight_decay"]) == (0.3, 0.5, 0.01)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((), ("transfer=linear_probe", "model.pretrained=false")),
        (("transfer=linear_probe", "model.pretrained=false"), ("transfer=full",)),
        (("transfer=linear_probe", "model.pretrained=false"),
         ("transfer=linear_probe", "model.pretrained=false", "trainer.precision=float64")),
    ],
)  # fmt: skip
def test_what_is_frozen_may_change_at_a_resume(
    before: tuple[str, ...], after: tuple[str, ...], make_run: MakeRun, tmp_path: Path
) -> None:
    train(make_run, tmp_path / "run", (*before, "trainer.epochs=1"), [])
    run = train(make_run, tmp_path / "run", (*after, "trainer.epochs=2"), [])
    assert run.freezing.digest() == run.progress.hash_start


def test_the_average_of_what_a_resume_freezes_is_what_is_frozen(make_run: MakeRun, tmp_path: Path) -> None:
    train(make_run, tmp_path / "run", (*BN, *EMA, "trainer.epochs=1"), [])
    frozen = ("transfer=linear_probe", "model.pretrained=false", "trainer.epochs=2", "transfer.cache=ram")
    run = train(make_run, tmp_path / "run", (*BN, *EMA, *frozen), [])
    average = dict(run.eval_model.state_dict())
    assert all(torch.equal(average[name], value) for name, value in run.freezing.values().items())
    images = run.judged("val")
    kept = run.judged_in_phase()
    assert images["loss"] == pytest.approx(kept["loss"], rel=1e-5)


@pytest.mark.parametrize("change", [(), ("trainer.log_every=7",), ("transfer.cache_dtype=float16",)])
def test_a_change_that_freezes_nothing_else_does_not_renew_the_proof(
    change: tuple[str, ...], make_run: MakeRun, tmp_path: Path
) -> None:
    words = ("transfer=linear_probe", "model.pretrained=false")
    run = train(make_run, tmp_path / "run", (*words, "trainer.epochs=1"), [])
    state = run.state_dict()
    next(iter(state["model"].values())).add_(1)
    checkpoint.save(tmp_path / "run" / checkpoint.LAST, state)
    again = make_run(*words, *change, "trainer.epochs=2", folder=tmp_path / "run")
    again.fit()
    with pytest.raises(RunError, match="frozen parameters or buffers have changed"):
        again.prove_frozen()


def test_the_frozen_hash_survives_a_resume(make_run: MakeRun, tmp_path: Path) -> None:
    probe = (*BN, "transfer=linear_probe", "model.pretrained=false", *SAVE)
    first = make_run(*probe)
    run = train(make_run, tmp_path / "run", probe, [5])
    assert run.freezing.digest() == run.progress.hash_start == first.progress.hash_start


def test_the_precision_may_change_to_a_scaled_one_at_a_resume(make_run: MakeRun) -> None:
    run = make_run("trainer.precision=float16")
    run.load_state_dict(make_run().state_dict())
    assert run.scaler.is_enabled()
    make_run().load_state_dict(run.state_dict())


def test_a_state_dict_holds_the_configuration_and_no_resume(make_run: MakeRun) -> None:
    run = make_run("resume=latest")
    assert run.state_dict()["config"] == {**asdict(run.config), "resume": None}


def test_half_precision_trains_in_autocast_with_float32_weights(make_run: MakeRun, tmp_path: Path) -> None:
    run = train(make_run, tmp_path / "run", ("trainer.precision=bfloat16", "trainer.epochs=1"), [])
    assert {p.dtype for p in run.model.parameters()} == {torch.float32}
    with run.precision:
        assert run.model(torch.zeros(1, 3, 32, 32)).dtype == torch.bfloat16


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float16", "bfloat16", "float32"])
def test_training_steps_on_a_gpu(precision: str, make_run: MakeRun, tmp_path: Path) -> None:
    overrides = (*BN, "trainer.device=cuda", f"trainer.precision={precision}", "trainer.clip_norm=1")
    run = train(make_run, tmp_path / "run", overrides, [])
    assert run.device.type == "cuda"
    assert run.scaler.is_enabled() == (precision == "float16")
    assert all(torch.isfinite(p).all() for p in run.model.parameters())


@pytest.mark.gpu
@pytest.mark.parametrize("words", [TWO, ("trainer.cuda_graphs=true",)])
@pytest.mark.parametrize("precision", ["float16", "bfloat16", "float32"])
def test_a_killed_and_resumed_run_on_a_gpu_ends_with_the_same_bytes(
    precision: str, words: tuple[str, ...], make_run: MakeRun, tmp_path: Path, metrics_of: Any
) -> None:
    overrides = (*BN, *PLATEAU, *DROP, *FLIP, *EMA, *SAVE, "trainer.device=cuda", "trainer.deterministic=true",
                 f"trainer.precision={precision}", *words)  # fmt: skip
    with arithmetic(deterministic=True, tf32=True):
        train(make_run, tmp_path / "straight", overrides, [])
        train(make_run, tmp_path / "killed", overrides, [3, 6, 8])
    assert_same(tmp_path / "straight", tmp_path / "killed", metrics_of)


@contextmanager
def no_waiting() -> Iterator[None]:
    """Within the block it is an error to wait for the GPU."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype")  # once a process
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.parametrize(
    "words",
    [
        ("augment=none",),
        ("augment=flip_crop", "trainer.precision=bfloat16", "trainer.clip_norm=1", *EMA, *TWO),
        ("augment=flip_crop", "trainer.precision=float16", "augment.erasing=0.5", "augment.mixup=0.2"),
        ("augment=imagenet", "augment.greyscale=0.2", "augment.colour_jitter=[0.4,0.4,0.4,0.1]"),
        ("augment=flip_crop", "augment.auto=rand", "augment.cutmix=1"),
        ("augment=affine", "augment.auto=trivial", *ADAMW),
        ("augment=flip_crop", "augment.auto=autoaugment", "data.resident=ram"),
        ("augment=flip_crop", "data.resident=off", "data.num_workers=2"),
        ("transfer=linear_probe", "model.pretrained=false", "augment=none"),
        (
            "augment=flip_crop",
            "augment.padding_mode=reflect",
            "augment.alternate_flip=true",
            "trainer.lookahead.every=2",
        ),
    ],
)
def test_no_step_waits_for_the_gpu(words: tuple[str, ...], make_run: MakeRun) -> None:
    run = make_run(*BN, "trainer.device=cuda", "data.train_size=192", *words)
    run.train_epoch()  # the first batches copy what all need
    run.progress.epoch, run.progress.step_in_epoch = 1, 0
    run.begin_epoch()
    run.run.poll = lambda: False  # which asks every half second, and waits
    torch.cuda.synchronize()
    before = run.progress.step
    with no_waiting():
        for batch in islice(run.train_batches(), 10):
            with run.precision:
                loss, judged = run.objective.loss(run.phase.network(batch.inputs), batch.targets)
            run.tally.add(loss.detach(), judged, batch.targets)
            if run.run.step(loss):
                run.run.step_done(run.report, run.saver)
    assert run.progress.step > before + 3


@pytest.mark.gpu
def test_neither_signals_nor_masks_wait_for_the_gpu() -> None:
    cuda = torch.device("cuda")
    signals, draws = torch.randn(6, 2, 40, device=cuda), Draws(0, 0, torch.arange(6), cuda)
    change, totals = Disturbed(0.1, 0.1, 0.1, [0, 0], [1, 1]), Totals(cuda)
    objective = Segmentation(class_weights=[1.0, 2.0, 3.0])
    logits, masks = torch.randn(2, 3, 5, 5, device=cuda), torch.ones(2, 5, 5, dtype=torch.uint8, device=cuda)
    for waiting in (nullcontext, no_waiting):  # the first time copies what all need
        with waiting():
            change(signals, None, draws)
            totals.add(*objective.loss(logits, masks), masks)
    assert totals.metrics()["count"] == 4


@pytest.mark.gpu
@pytest.mark.parametrize(
    "words",
    [
        (*BN, "data.train_size=41"),  # the last batch has another size
        (*BN, "trainer.precision=bfloat16", *DROP),
        (*BN, "transfer=linear_probe", "model.pretrained=false"),
        (*BN, "transfer=gradual", "model.pretrained=false"),
        ("model=googlenet", "model.args.aux_logits=true", "trainer.max_steps=2", "trainer.deterministic=false"),
    ],
)
def test_a_recorded_step_trains_as_the_plain_one(words: tuple[str, ...], make_run: MakeRun) -> None:
    words = (*FLIP, "trainer.device=cuda", "trainer.deterministic=true", "trainer.tf32=false", *words)
    with arithmetic("trainer.deterministic=false" not in words, tf32=False):
        plain, recorded = make_run(*words), make_run(*words, "trainer.cuda_graphs=true")
        for run in (plain, recorded):
            run.fit()
    assert isinstance(recorded.run.phase.network, Recorded) and recorded.progress.step == plain.progress.step
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(value, recorded.model.state_dict()[name], rtol=1e-2, atol=5e-3)


@pytest.mark.gpu
def test_a_small_network_is_recorded_by_tune(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "SHARE", 1e3)  # so that a few steps are enough
    run = make_run(*BN, "trainer.device=cuda", "trainer.tune=auto")
    assert run.state.about["chosen"]["cuda_graphs"] and any("recorded as a CUDA graph" in each for each in run.notes)
    run.fit()
    assert isinstance(run.run.phase.network, Recorded)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), r"trainer\.cuda_graphs=true is for one process on a GPU"),
        (("trainer.device=cpu",), r"trainer\.cuda_graphs=true excludes device=cpu: leave one of them out"),
        (("trainer.grad_accum=2", "trainer.compile=on"), "excludes compile=on and grad_accum above 1: leave"),
    ],
)
def test_what_cannot_be_recorded_is_named(
    words: tuple[str, ...], message: str, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match=message):
        make_run("trainer.device=auto", "trainer.cuda_graphs=true", *words)


@pytest.mark.gpu
def test_values_at_the_cut_are_kept_in_the_gpus_memory(make_run: MakeRun, lines: list[str]) -> None:
    words = (
        *BN,
        "transfer=linear_probe",
        "model.pretrained=false",
        "trainer.device=cuda",
        "trainer.deterministic=true",
    )
    runs = [make_run(*words, f"transfer.cache={place}") for place in ("ram", "disk", "off")]
    for run in runs:
        run.fit()
    assert sum(line.endswith("in the memory of cuda:0 too") for line in lines) == 4
    assert runs[0].run.phase.train.held.tensors[0].device.type == "cuda"
    for other in runs[1:]:
        for one, same in zip(runs[0].model.parameters(), other.model.parameters(), strict=True):
            torch.testing.assert_close(one, same)


def kept_photographs(folder: Path) -> tuple[str, ...]:
    """The words of a run on photographs, noise of 40 x 36 pixels, and a cache of its own."""
    random, photos = np.random.default_rng(0), folder / "photos"
    for name in ("cat", "dog", "eel"):
        (photos / name).mkdir(parents=True)
        for number in range(14):
            pixels = random.integers(0, 256, (40, 36, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(photos / name / f"{number}.png")
    not_its_own = ("~data.train_size", "~data.val_size", "~data.test_size", "~data.num_classes")
    places = ("data=imagefolder", f'data.root="{photos}"', f'data.cache_dir="{folder / "cache"}"')
    return (*places, *not_its_own, "data.image_size=32", "data.batch_size=8", "augment=flip_crop", "optim.lr=0.02")


@pytest.mark.no_cover
@pytest.mark.parametrize("precision", slow_if(["float64"], ["float32", "float64"]))
def test_images_in_memory_and_images_read_by_workers_train_alike(
    make_run: MakeRun, tmp_path: Path, lines: list[str], precision: str
) -> None:
    words, found = (*kept_photographs(tmp_path), f"trainer.precision={precision}"), {}
    ways = {
        "workers": ("data.resident=off", "data.num_workers=2"),
        "ram": ("data.resident=ram",),
        "alone": ("data.resident=off",),
        "disk": (),
        "found": (),
    }
    for name, more in list(ways.items())[: 2 if precision == "float64" else None]:
        run = make_run(*words, *more)
        run.fit()
        found[name] = digest(run.model.state_dict())
    assert set(found.values()) == {found["workers"]}, "to the byte"
    kept = [line for line in lines if line.startswith("images are read once")]
    if precision == "float32":
        assert ["kept in memory:" in line for line in kept] == [True, False, False] and "found in" in kept[2]


@pytest.mark.no_cover
def test_a_run_resumed_with_images_kept_elsewhere_is_the_same(make_run: MakeRun, tmp_path: Path) -> None:
    words = (*kept_photographs(tmp_path), "checkpoint.every_steps=1")
    straight = make_run(*words, "data.resident=ram")
    straight.fit()
    killed = make_run(*words, "data.resident=auto", folder=tmp_path / "run")
    killed.report = Interrupted(killed, kill_at=5)
    with pytest.raises(KilledError):
        killed.fit()
    for resident in ("ram", "auto", "off"):
        shutil.copytree(tmp_path / "run", tmp_path / resident)
        resumed = make_run(*words, f"data.resident={resident}", folder=tmp_path / resident)
        assert resumed.fit() == loop.FINISHED
        assert digest(resumed.model.state_dict()) == digest(straight.model.state_dict()), resident


@pytest.mark.no_cover
@pytest.mark.parametrize("model", ["lenet5", "resnet20"])
def test_activations_computed_again_change_no_gradient(make_run: MakeRun, model: str) -> None:
    words = (f"model={model}", "trainer.precision=float64", "trainer.max_steps=2", "augment=none", "trainer.epochs=1")
    plain, saving = make_run(*words), make_run(*words, "trainer.grad_checkpointing=true")
    for run in (plain, saving):
        run.fit()
    assert saving.model.grad_checkpointing
    for one, other in zip(plain.model.parameters(), saving.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_a_network_that_cannot_compute_activations_again_is_named(make_run: MakeRun) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.grad_checkpointing=true: dla34 has no such thing"):
        make_run("model=dla34", "model.pretrained=false", "trainer.grad_checkpointing=true")


@pytest.mark.slow  # a minute of compiling
@pytest.mark.parametrize("words", [(), ("transfer=linear_probe", "model.pretrained=false", "data.train_per_class=4")])
def test_a_compiled_network_trains_as_the_plain_one_and_resumes_to_the_byte(
    make_run: MakeRun, tmp_path: Path, words: tuple[str, ...]
) -> None:
    words = (*words, "optim.lr=0.02", "checkpoint.every_steps=1")
    plain, compiled = make_run(*words), make_run(*words, "trainer.compile=on")
    for run in (plain, compiled):
        run.fit()
    for one, other in zip(plain.model.parameters(), compiled.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    killed = make_run(*words, "trainer.compile=on", folder=tmp_path / "run")
    killed.report = Interrupted(killed, kill_at=2)
    with pytest.raises(KilledError):
        killed.fit()
    resumed = make_run(*words, "trainer.compile=on", folder=tmp_path / "run")
    resumed.fit()
    assert digest(resumed.model.state_dict()) == digest(compiled.model.state_dict())

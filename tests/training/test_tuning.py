"""What is chosen by a try, what that leaves as it was, and that a resume computes alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cnntrain.core.digest import digest
from cnntrain.core.errors import ConfigError, RunError, StopError
from cnntrain.training import loop, tuning
from cnntrain.training.memory import shortage_explained
from cnntrain.training.tuning import Choice

MakeRun = Callable[..., Any]


def short_of_memory(
    monkeypatch: pytest.MonkeyPatch, most: int, error: type[RuntimeError] = torch.OutOfMemoryError
) -> None:
    """As if no more images than these had room in a step."""
    forward = nn.Conv2d.forward

    def limited(self: nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
        if len(images) > most and torch.is_grad_enabled():
            raise error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
        return forward(self, images)

    monkeypatch.setattr(nn.Conv2d, "forward", limited)


def trained(run: Any) -> str:
    assert run.fit() == loop.FINISHED
    return digest(run.model.state_dict())


@pytest.mark.parametrize(("most", "pieces"), [(16, 1), (40, 1), (15, 2), (8, 2), (5, 4), (1, 16)])
def test_a_micro_batch_is_of_so_many_images_at_most(most: int, pieces: int, make_run: MakeRun) -> None:
    run = make_run(f"trainer.micro_batch={most}")
    assert run.loaders.share.pieces == run.run.step.pieces == pieces
    chosen = Choice("auto", "off", None, pieces)
    assert Choice(**run.state.about["chosen"]) == chosen


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_as_many_images_as_fit_are_taken_at_once(
    error: type[RuntimeError], make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    accumulated = trained(make_run("trainer.grad_accum=4"))
    with monkeypatch.context() as patched:
        short_of_memory(patched, 6, error)
        run = make_run("trainer.micro_batch=auto")
    assert run.run.notes[-1] == "trainer.micro_batch=auto: 4 images at once, 4 times a step"
    assert trained(run) == accumulated  # and the try has left nothing behind


def test_where_not_even_one_image_fits_that_is_said(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    short_of_memory(monkeypatch, 0)
    with pytest.raises(ConfigError, match="not even one input of 3x32x32 fits into the memory of cpu: take a small"):
        make_run("trainer.micro_batch=auto")


def test_another_error_is_not_taken_for_a_lack_of_memory(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning.Rehearsal, "step", lambda self: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError, match="size"):
        make_run("trainer.micro_batch=auto")


@pytest.mark.parametrize(
    ("most", "end"),
    [
        (5, "in a step of 16 images at once: trainer.micro_batch=4 fits, and leaves a step's batch what it is"),
        (0, "in a step of 16 images at once; not even one input of 3x32x32 fits .*"),
        (16, "in a step of 16 images at once, for which there is room now: something else took .*; resume the run"),
    ],
)
def test_a_run_without_memory_says_what_would_fit(
    most: int, end: str, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    short_of_memory(monkeypatch, most)
    with pytest.raises(RunError, match=f"^out of memory on cpu {end}$"), shortage_explained(run.run):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


def test_other_errors_pass(make_run: MakeRun) -> None:
    with pytest.raises(RuntimeError, match="other"), shortage_explained(make_run().run):
        raise RuntimeError("other")


class Timed:
    """Stands for a rehearsal: its steps take what `seconds` says."""

    seconds: Callable[[str, int, bool], float]
    made: list[str]
    counts: list[int]
    times: set[int]
    recorded: float | None  # seconds of a recorded step; None: it cannot be recorded

    def __init__(self, plan: Any, count: int, layout: str):
        self.layout, self.compiled = layout, False
        Timed.made.append(layout)
        Timed.counts.append(count)

    def compile(self) -> None:
        self.compiled = True

    def record(self) -> None:
        if Timed.recorded is None:
            raise ConfigError("this network cannot be recorded")
        self.seconds = lambda *_: Timed.recorded

    def step(self, times: int = 1) -> float:
        Timed.times.add(times)
        return self.seconds(self.layout, torch.get_num_threads(), self.compiled)


@pytest.fixture
def plan(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuning.Plan]:
    """What a run of so many steps plans, on a computer of four cores."""
    monkeypatch.setattr(tuning, "Rehearsal", Timed)
    monkeypatch.setattr(tuning.cores, "usable", lambda: 4)
    Timed.made, Timed.counts, Timed.times = [], [], set()

    def make(steps: int, seconds: Callable[[str, int, bool], float]) -> tuning.Plan:
        monkeypatch.setattr(Timed, "seconds", staticmethod(seconds), raising=False)
        run = make_run()
        return tuning.Plan(run.config, run.model, run.state.policy, run.loaders.preprocess, 7, run.device, 16, steps)

    return make


def with_trainer(plan: tuning.Plan, **keys: Any) -> tuning.Plan:
    return replace(plan, config=replace(plan.config, trainer=replace(plan.config.trainer, **keys)))


def test_the_fastest_layout_and_number_of_threads_are_chosen(plan: Callable[..., tuning.Plan]) -> None:
    layouts = {"channels_last": 2.0, "contiguous": 1.0}
    found = with_trainer(plan(10**4, lambda layout, threads, _: layouts[layout] / min(threads, 2)), tune="auto")
    threads = torch.get_num_threads()
    choice, lines = tuning.choose(found)
    assert choice == Choice("contiguous", "off", 4, 1) and torch.get_num_threads() == threads
    assert lines[0].startswith(
        "trainer.tune=auto: contiguous, 4 threads: 2.00 times as fast as channels_last, which is "
    )
    found = with_trainer(plan(10**4, lambda layout, threads, _: abs(threads - 2) + 1.0), tune="auto")
    choice, lines = tuning.choose(found)
    assert choice == Choice("channels_last", "off", 2, 1) and ": 3.00 times as fast" in lines[0]


def test_what_is_typed_is_not_tried(plan: Callable[..., tuning.Plan]) -> None:
    found = with_trainer(plan(10**4, lambda *_: 1.0), tune="auto", memory_format="contiguous")
    assert tuning.choose(found)[0] == Choice("contiguous", "off", 4, 1)
    assert Timed.made == ["contiguous"]


def test_where_steps_are_few_nothing_is_tried(plan: Callable[..., tuning.Plan]) -> None:
    found = with_trainer(plan(300, lambda layout, *_: 1.0 if layout == "contiguous" else 9.0), tune="auto")
    choice, lines = tuning.choose(found)
    assert choice == Choice("auto", "off", None, 1)
    assert lines == ["trainer.tune=auto: 300 steps are too few for a try to pay"]


def test_short_steps_are_timed_several_at_once(plan: Callable[..., tuning.Plan]) -> None:
    found = with_trainer(plan(10**4, lambda *_: 0.02), tune="auto")
    assert tuning.choose(found)[1][0].startswith("trainer.tune=auto: channels_last, 4 threads: 1.00 times")
    assert Timed.times == {1, 5}
    assert tuning.choose(replace(found, steps=1000))[1] == [
        "trainer.tune=auto: 1000 steps are too few for a try to pay"
    ]


@pytest.mark.parametrize(
    ("steps", "gain", "compiler", "compiled"),
    [(10**4, 1.5, True, "on"), (10**4, 1.01, True, "off"), (1100, 1.5, True, "off"), (10**4, 1.5, False, "off")],
)
def test_compiling_is_tried_and_chosen_where_it_pays(
    steps: int, gain: float, compiler: bool, compiled: str, plan: Callable[..., tuning.Plan], monkeypatch: Any
) -> None:
    monkeypatch.setattr(tuning.shutil, "which", lambda name: name if compiler else None)
    found = plan(steps, lambda layout, threads, compiled: 1 / gain if compiled else 1.0)
    choice, lines = tuning.choose(with_trainer(found, tune="auto", compile="auto"))
    assert choice.compile == compiled and ("compiled" in lines[0]) == (compiled == "on")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ((), "off"),
        (("trainer.tune=auto",), "auto"),
        (("trainer.tune=auto", "trainer.compile=off"), "off"),
        (("trainer.compile=auto",), "off"),
        (("trainer.compile=on",), "on"),
        (("trainer.tune=auto", "trainer.watch=true"), "off"),
        (("trainer.tune=auto", "trainer.cuda_graphs=true", "trainer.device=auto"), "off"),
    ],
)
def test_a_run_keeps_whether_compiling_is_left_to_a_try(
    typed: tuple[str, ...], kept: str, configure: Callable[..., Any]
) -> None:
    assert configure(*typed).trainer.compile == kept


@pytest.mark.parametrize(("steps", "tried"), [(1200, True), (1199, False)])
def test_compiling_is_tried_where_it_takes_a_twentieth_of_the_run_at_most(
    steps: int, tried: bool, plan: Callable[..., tuning.Plan], monkeypatch: Any
) -> None:
    monkeypatch.setattr(tuning, "_can_compile", lambda: True)
    monkeypatch.setattr(tuning, "ROUNDS", 3)
    tuning.choose(with_trainer(plan(steps, lambda *_: 1.0), tune="auto", compile="auto"))
    assert len(Timed.made) == 2 + tried


def test_a_network_that_cannot_be_compiled_stays_as_it_is_and_the_run_says_why(
    plan: Callable[..., tuning.Plan], monkeypatch: Any
) -> None:
    def fails(rehearsal: Timed) -> None:
        raise RuntimeError("CppCompileError: C++ compile error\n\nPython.h: No such file or directory")

    monkeypatch.setattr(tuning, "_can_compile", lambda: True)
    monkeypatch.setattr(Timed, "compile", fails)
    choice, lines = tuning.choose(with_trainer(plan(10**4, lambda *_: 1.0), tune="auto", compile="auto"))
    assert choice.compile == "off"
    assert lines[0].endswith(" s; it could not be compiled: CppCompileError: C++ compile error")


@pytest.mark.parametrize(
    ("recorded", "keys", "chosen"),
    [
        (0.5, {}, True),
        (0.99, {}, False),
        (None, {}, False),
        (0.5, {"watch": True}, False),
        (0.5, {"grad_accum": 2}, False),
        (0.5, {"device": "cpu"}, False),
    ],
)
def test_recording_is_tried_on_a_gpu_and_chosen_where_it_pays(
    recorded: float | None, keys: dict[str, Any], chosen: bool, plan: Callable[..., tuning.Plan], monkeypatch: Any
) -> None:
    monkeypatch.setattr(Timed, "recorded", recorded, raising=False)
    found = with_trainer(plan(10**4, lambda *_: 1.0), **{"tune": "auto", "device": "cuda", **keys})
    choice, lines = tuning.choose(replace(found, device=torch.device(found.config.trainer.device)))
    assert choice.cuda_graphs == chosen and ("recorded as a CUDA graph: 2.00 times" in lines[0]) == chosen
    assert choice.laid_over(found.config).trainer.cuda_graphs == chosen


@pytest.mark.parametrize(
    ("planned", "gain", "cost", "found"),
    [
        (1200.0, 1.5, 300.0, 1.5),
        (1200.0, 2.0, 600.0, 1.0),  # saves 600 seconds and costs as many
        (1e6, tuning.WORTH, 0.0, tuning.WORTH),
        (1e6, 1.02, 0.0, 1.0),
    ],
)
def test_compiling_must_save_more_than_it_costs(
    planned: float, gain: float, cost: float, found: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        now = 0.0

        def perf_counter(self) -> float:
            return self.now

    class Rehearsal:
        seconds = gain

        def compile(self) -> None:
            clock.now += cost
            self.seconds = 1.0

        def step(self, times: int = 1) -> float:
            return self.seconds

    clock = Clock()
    monkeypatch.setattr(tuning, "time", clock)
    assert tuning._gain_of_compiling(Rehearsal(), Rehearsal, planned, 3) == found  # type: ignore[arg-type]


def test_a_try_is_of_micro_batches_and_its_steps_are_counted_by_them(plan: Callable[..., tuning.Plan]) -> None:
    few = plan(200, lambda *_: 1.0)
    assert tuning._fastest(few, Choice("auto", "off", None, 1))[1].startswith("200 steps are too few")
    Timed.counts = []
    found, said = tuning._fastest(few, Choice("auto", "off", None, 4))  # four times as many
    assert Timed.counts == [4, 4] and said.startswith("channels_last, 4 threads: 1.00 times")
    assert found.grad_accum == 4


def test_without_a_compiler_what_is_to_be_compiled_is_refused(make_run: MakeRun, monkeypatch: Any) -> None:
    monkeypatch.setattr(tuning.shutil, "which", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"trainer\.compile=on needs a C\+\+ compiler, one of c\+\+, g\+\+, clang\+\+"
    ):
        make_run("trainer.compile=on")


@pytest.mark.no_cover
def test_a_try_leaves_the_run_as_it_was_and_a_resume_keeps_the_choice(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("model=resnet20", "data.image_size=16", "model.drop_rate=0.3", "augment=flip_crop")
    fixed = trained(make_run(*words, "trainer.memory_format=contiguous"))
    tried = []

    def last(works: dict[Any, Callable[[], float]]) -> tuple[Any, float]:
        tried.extend(each() for each in works.values())
        return [*works][-1], 2.0

    monkeypatch.setattr(tuning, "SHARE", 10.0)  # so that a few steps are enough
    monkeypatch.setattr(tuning, "_best", last)
    first = make_run(*words, "trainer.tune=auto", folder=tmp_path / "run")
    assert first.state.about["chosen"]["memory_format"] == "contiguous" and len(tried) > 3
    assert torch.get_num_threads() == first.state.about["chosen"]["threads"] == 1

    def stop_at_four() -> None:
        if first.progress.step == 4:
            raise StopError

    first.run.heed = stop_at_four
    assert first.fit() == loop.STOPPED
    monkeypatch.setattr(tuning, "_fastest", None)  # nothing is tried again
    again = make_run(*words, "trainer.tune=auto", folder=tmp_path / "run")
    assert again.progress.step == 4 and trained(again) == fixed
    other = make_run(*words, "trainer.tune=off", "trainer.epochs=4", folder=tmp_path / "run")
    assert other.state.about["chosen"]["memory_format"] == "auto"

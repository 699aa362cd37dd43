"""What only a try tells of a run's arithmetic: which layout and how many threads are fastest, whether compiling or
recording pays, and how many images fit at once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import median
from typing import Any, Literal

import torch

from cnntrain.config.schema import TrainConfig
from cnntrain.core import cores, dist, seeds
from cnntrain.core.errors import ConfigError, first_line
from cnntrain.training.precision import memory_format, threads_kept
from cnntrain.training.rehearsal import Layout, Plan, Rehearsal

ROUNDS = 7  # of every candidate's steps, one after the other
SAMPLE = 0.1  # seconds, about, of a candidate's steps in a round: of shorter ones chance tells more than their speed
SHARE = 0.05  # of the planned time that a try may take
WORTH = 1.03  # times as fast is what is chosen instead of what is usual, at least
COMPILING = 60.0  # seconds, about, of a network of the size that it pays for
COMPILERS = ("c++", "g++", "clang++")
# what decides
KEYS = ("tune", "compile", "cuda_graphs", "memory_format", "micro_batch", "grad_accum", "precision", "device")


@dataclass(frozen=True)
class Choice:
    """The arithmetic of a run; kept in its checkpoints as plain values, so that a resume computes alike.

    Attributes:
        memory_format, compile, cuda_graphs: as in the configuration, nothing left to be found out.
        threads: of each process; None: torch's own number.
        grad_accum: micro-batches a step.
    """

    memory_format: Layout
    compile: Literal["off", "on"]
    threads: int | None
    grad_accum: int
    cuda_graphs: bool = False

    def laid_over(self, config: TrainConfig) -> TrainConfig:
        """The configuration with what was chosen."""
        chosen: dict[str, Any] = {key: value for key, value in asdict(self).items() if key != "threads"}
        return replace(config, trainer=replace(config.trainer, micro_batch=None, **chosen))


def choose(plan: Plan) -> tuple[Choice, list[str]]:
    """What the configuration says, and what it leaves to be tried; with lines for the user. All ranks try, and take
    what the first finds.

    Raises:
        ConfigError: not even one image fits, or there is no compiler for what is to be compiled.
    """
    trainer = plan.config.trainer
    if trainer.compile == "on" and not _can_compile():
        raise ConfigError(f"trainer.compile=on needs a C++ compiler, one of {', '.join(COMPILERS)}: install it")
    compiles: Literal["off", "on"] = "on" if trainer.compile == "on" else "off"
    choice = Choice(trainer.memory_format, compiles, None, trainer.grad_accum, trainer.cuda_graphs)
    lines = []
    with seeds.generators_kept(), threads_kept():
        if isinstance(trainer.micro_batch, int):
            choice = replace(choice, grad_accum=_pieces(plan.share, trainer.micro_batch))
        elif trainer.micro_batch == "auto":
            count = dist.from_first(partial(largest_that_fits, plan, plan.share))
            choice = replace(choice, grad_accum=plan.share // count)
            lines.append(f"trainer.micro_batch=auto: {count} images at once, {plan.share // count} times a step")
        if trainer.tune == "auto":
            choice, line = _fastest(plan, choice)
            lines.append(f"trainer.tune=auto: {line}")
    return dist.from_first(lambda: (choice, lines))


def chosen_before(config: TrainConfig, saved: Mapping[str, Any]) -> Choice | None:
    """What a run that is resumed has chosen; None where something that decided it has changed."""
    before = saved["config"]
    now = asdict(config)
    same = all(before["trainer"].get(key) == now["trainer"][key] for key in KEYS)
    same = same and before["data"]["batch_size"] == config.data.batch_size and before["devices"] == config.devices
    return Choice(**saved["chosen"]) if same and "chosen" in saved else None


def largest_that_fits(plan: Plan, most: int) -> int:
    """How many images, of `most` or an even share of them, a step can take at once.

    Raises:
        ConfigError: not even one.
    """
    for count in _shares(most):
        try:
            rehearsal = Rehearsal(plan, count, plan.config.trainer.memory_format)
            for _ in range(2):  # the first one makes the optimizer's state
                rehearsal.step()
            return count
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        finally:
            rehearsal = None  # type: ignore[assignment]
            if plan.device.type == "cuda":
                torch.cuda.empty_cache()
    raise ConfigError(
        f"not even one input of {'x'.join(map(str, plan.seen.shape))} fits into the memory of {plan.device}: take "
        "a smaller model or data.image_size, trainer.precision=bfloat16 or trainer.grad_checkpointing=true"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch found no memory, of a GPU or of the computer."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _shares(count: int) -> list[int]:
    """The numbers that `count` can be shared into equally, from itself down to 1."""
    return [count // pieces for pieces in range(1, count + 1) if count % pieces == 0]


def _pieces(count: int, most: int) -> int:
    """Into how many equal shares of `most` or fewer it is cut."""
    return count // next(share for share in _shares(count) if share <= most)


def _can_compile() -> bool:
    return any(map(shutil.which, COMPILERS))


def _fastest(plan: Plan, usual: Choice) -> tuple[Choice, str]:
    """The choice by which the rest of the run is done soonest, and what to say of it."""
    start, count = time.perf_counter(), plan.share // usual.grad_accum
    layouts = _layouts(plan)
    rehearsals = {layout: Rehearsal(plan, count, layout) for layout in layouts}
    threads = _numbers_of_threads(plan.device)
    rehearsals[layouts[0]].step()
    seconds = rehearsals[layouts[0]].step()
    planned, times = seconds * plan.steps * usual.grad_accum, max(1, round(SAMPLE / seconds))
    if (ROUNDS + 1) * times * (len(layouts) + len(threads) - 1) > SHARE * plan.steps * usual.grad_accum:
        return usual, f"{plan.steps} steps are too few for a try to pay"
    best = _best({layout: partial(each.step, times) for layout, each in rehearsals.items()})
    rehearsal = rehearsals[best[0]]
    del rehearsals  # their memory
    gain, found = best[1], replace(usual, memory_format=best[0])
    if len(threads) > 1:
        number, more = _best({each: partial(_with_threads, each, partial(rehearsal.step, times)) for each in threads})
        gain, found = gain * more, replace(found, threads=number)
        torch.set_num_threads(number)
    failed = ""
    if _may_compile(plan, planned / gain):
        try:
            more = _gain_of_compiling(rehearsal, partial(Rehearsal, plan, count, best[0]), planned / gain, times)
            gain, found = gain * more, replace(found, compile="on" if more > 1 else "off")
        except RuntimeError as error:  # what torch's compiler raises: C++ that does not build, operations unknown to it
            failed = f"; it could not be compiled: {first_line(error)}"
    if _may_record(plan, found):
        more = _gain_of_recording(rehearsal, times)
        gain, found = gain * more, replace(found, cuda_graphs=more > 1)
    told = [found.memory_format, *([f"{found.threads} threads"] if found.threads is not None else [])]
    told += ["compiled"] if found.compile == "on" else []
    told += ["recorded as a CUDA graph"] if found.cuda_graphs else []
    return found, (f"{', '.join(told)}: {gain:.2f} times as fast as {layouts[0]}, which is usual here; "
                   f"tried in {time.perf_counter() - start:.1f} s{failed}")  # fmt: skip


def _layouts(plan: Plan) -> list[Layout]:
    """What may be chosen, the usual one first."""
    trainer = plan.config.trainer
    if trainer.memory_format != "auto":
        return [trainer.memory_format]
    last = memory_format(trainer, plan.device) == torch.channels_last
    return ["channels_last", "contiguous"] if last else ["contiguous", "channels_last"]


def _numbers_of_threads(device: torch.device) -> list[int]:
    """What may be chosen, the usual one first: all cores of this rank, and half as many again and again."""
    if device.type != "cpu":
        return [torch.get_num_threads()]
    most = torch.get_num_threads() if dist.world_size() > 1 else cores.usable()
    numbers = [most]
    while numbers[-1] > 1:
        numbers.append(numbers[-1] // 2)
    return numbers


def _with_threads(number: int, step: Callable[[], float]) -> float:
    torch.set_num_threads(number)
    return step()


def _best(works: Mapping[Any, Callable[[], float]]) -> tuple[Any, float]:
    """The one with the least seconds, and how many times as fast as the first it is; the first where it is worth
    nothing."""
    for each in works.values():  # warms up
        each()
    seconds: dict[Any, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, each in works.items():
            seconds[name].append(each())
    usual = median(seconds[next(iter(works))])
    best = min(works, key=lambda name: median(seconds[name]))
    gain = usual / median(seconds[best])
    return (best, gain) if gain >= WORTH else (next(iter(works)), 1.0)


def _may_record(plan: Plan, found: Choice) -> bool:
    excluded = plan.config.trainer.watch or found.compile == "on" or found.grad_accum > 1 or found.cuda_graphs
    return plan.device.type == "cuda" and dist.world_size() == 1 and not excluded


def _gain_of_recording(rehearsal: Rehearsal, times: int) -> float:
    """How many times as fast a recorded network is; 1 where it cannot be recorded."""
    plain = median(rehearsal.step(times) for _ in range(ROUNDS))
    try:
        rehearsal.record()
    except ConfigError:
        return 1.0
    rehearsal.step()
    gain = plain / median(rehearsal.step(times) for _ in range(ROUNDS))
    return gain if gain >= WORTH else 1.0


def _may_compile(plan: Plan, planned: float) -> bool:
    return plan.config.trainer.compile == "auto" and planned * SHARE >= COMPILING and _can_compile()


def _gain_of_compiling(plain: Rehearsal, another: Callable[[], Rehearsal], planned: float, times: int) -> float:
    """How many times as fast a compiled network is; 1 where the seconds that it saves are fewer than compiling takes.

    Args:
        planned: seconds of the run without it.
    """
    compiled, start = another(), time.perf_counter()
    compiled.compile()
    compiled.step()
    cost = time.perf_counter() - start
    _, gain = _best({"off": partial(plain.step, times), "on": partial(compiled.step, times)})
    return gain if planned * (1 - 1 / gain) > cost else 1.0

"""What only a try tells of a run's arithmetic: which layout and how many threads are fastest, whether compiling pays,
and how many images fit at once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import median
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.functional import one_hot

from cnntrain.config.schema import TrainConfig
from cnntrain.core import cores, dist, seeds
from cnntrain.core.errors import ConfigError
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.optim.groups import parameter_groups
from cnntrain.training.precision import autocast, memory_format, place, threads_kept
from cnntrain.transfer.base import Transfer
from cnntrain.transfer.freezing import Freezing

Layout = Literal["auto", "contiguous", "channels_last"]
ROUNDS = 5  # of every candidate's steps, one after the other
SHARE = 0.05  # of the planned time that a try may take
WORTH = 1.03  # times as fast is what is chosen instead of what is usual, at least
COMPILING = 60.0  # seconds, about, of a network of the size that it pays for
COMPILERS = ("c++", "g++", "clang++")
KEYS = ("tune", "compile", "memory_format", "micro_batch", "grad_accum", "precision", "device")  # what decides


@dataclass(frozen=True)
class Choice:
    """The arithmetic of a run; kept in its checkpoints as plain values, so that a resume computes alike.

    Attributes:
        memory_format, compile: as in the configuration, nothing left to be found out.
        threads: of each process; None: torch's own number.
        grad_accum: micro-batches a step.
    """

    memory_format: Layout
    compile: Literal["off", "on"]
    threads: int | None
    grad_accum: int

    def laid_over(self, config: TrainConfig) -> TrainConfig:
        """The configuration with what was chosen."""
        chosen: dict[str, Any] = {key: value for key, value in asdict(self).items() if key != "threads"}
        return replace(config, trainer=replace(config.trainer, micro_batch=None, **chosen))


@dataclass(frozen=True)
class Plan:
    """What a run will do, as far as its speed depends on it.

    Attributes:
        model: in its place; it is copied.
        policy: what is frozen in the first epoch is frozen in a try.
        batch_size: samples of a step.
        steps: to the end of the run.
    """

    config: TrainConfig
    model: nn.Module
    policy: Transfer
    seen: Preprocess
    classes: int
    device: torch.device
    batch_size: int
    steps: int

    @property
    def share(self) -> int:
        """Samples of a step on this rank."""
        return self.batch_size // dist.world_size()


class Rehearsal:
    """Training steps on made-up images, of a copy of the network: nothing of the run is touched."""

    def __init__(self, plan: Plan, count: int, layout: Layout):
        """Args:
        count: images at once.
        layout: a value of ``trainer.memory_format``.
        """
        trainer = replace(plan.config.trainer, memory_format=layout)
        self.device, self.precision = plan.device, autocast(trainer.precision, plan.device)
        self.model = deepcopy(plan.model)
        place(self.model, trainer, plan.device)
        freezing = Freezing(self.model, plan.policy)
        freezing.train_mode()
        rates = plan.policy.rate_multipliers(self.model, freezing.head)
        groups = parameter_groups(self.model, plan.config.optim, rates, plan.policy.decay_multipliers(self.model))
        self.optimizer = plan.config.optim.build(groups)
        self.objective = plan.config.task.start(trainer.label_smoothing, plan.config.model.aux_weight)
        size, dtype = plan.seen.image_size, next(self.model.parameters()).dtype
        images = torch.rand(count, plan.seen.channels, size, size, dtype=dtype, device=plan.device)
        self.images = images.contiguous(memory_format=memory_format(trainer, plan.device))
        labels = torch.arange(count, device=plan.device) % plan.classes
        self.targets = one_hot(labels, plan.classes).bool() if plan.config.task.several_labels else labels
        self.network: Callable[[Any], Any] = self.model

    def compile(self) -> None:
        self.network = torch.compile(self.model)

    def step(self) -> float:
        """One update; returns the seconds that it took."""
        start = time.perf_counter()
        with self.precision:
            loss, _ = self.objective.loss(self.network(self.images), self.targets)
        loss.sum().backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - start


def choose(plan: Plan) -> tuple[Choice, list[str]]:
    """What the configuration says, and what it leaves to be tried; with lines for the user. All ranks try, and take
    what the first finds.

    Raises:
        ConfigError: not even one image fits, or there is no compiler for what is to be compiled.
    """
    trainer = plan.config.trainer
    if trainer.compile == "on" and not _can_compile():
        raise ConfigError(f"trainer.compile=on needs a C++ compiler, one of {', '.join(COMPILERS)}: install it")
    choice = Choice(trainer.memory_format, "on" if trainer.compile == "on" else "off", None, trainer.grad_accum)
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
        f"not even one image of {plan.seen.image_size} pixels fits into the memory of {plan.device}: take a smaller "
        "model or data.image_size, trainer.precision=bfloat16 or trainer.grad_checkpointing=true"
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
    planned = rehearsals[layouts[0]].step() * plan.steps * usual.grad_accum
    if (ROUNDS + 1) * (len(layouts) + len(threads) - 1) > SHARE * plan.steps * usual.grad_accum:
        return usual, f"{plan.steps} steps are too few for a try to pay"
    best = _best({layout: each.step for layout, each in rehearsals.items()})
    rehearsal = rehearsals[best[0]]
    gain, found = best[1], replace(usual, memory_format=best[0])
    if len(threads) > 1:
        number, more = _best({each: partial(_with_threads, each, rehearsal.step) for each in threads})
        gain, found = gain * more, replace(found, threads=number)
        torch.set_num_threads(number)
    if plan.config.trainer.compile == "auto":
        more = _gain_of_compiling(rehearsal, planned / gain)
        gain, found = gain * more, replace(found, compile="on" if more > 1 else "off")
    told = [found.memory_format, *([f"{found.threads} threads"] if found.threads is not None else [])]
    told += ["compiled"] if found.compile == "on" else []
    return found, (f"{', '.join(told)}: {gain:.2f} times as fast as {layouts[0]}, which is usual here; "
                   f"tried in {time.perf_counter() - start:.1f} s")  # fmt: skip


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


def _gain_of_compiling(rehearsal: Rehearsal, planned: float) -> float:
    """How many times as fast a compiled network is; 1 where the seconds that it saves are fewer than compiling takes.

    Args:
        planned: seconds of the run without it.
    """
    if planned * SHARE < COMPILING or not _can_compile():
        return 1.0
    plain = median(rehearsal.step() for _ in range(ROUNDS))
    start = time.perf_counter()
    rehearsal.compile()
    rehearsal.step()
    cost = time.perf_counter() - start
    gain = plain / median(rehearsal.step() for _ in range(ROUNDS))
    return gain if gain >= WORTH and planned * (1 - 1 / gain) > cost else 1.0

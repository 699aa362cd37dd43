"""Kill a run with SIGKILL at random moments and continue it with the same command: are the final weights the same?

    python scripts/kill_resume.py [--runs 20] [--seed 0] [--what gradual | all | torchrun | sides | tasks]

By default everything that has state is on: plateau after warm-up, dropout, augmentation, accumulation, a moving
average. With ``--what gradual`` a net with BatchNorm is unfrozen stage by stage on kept activations, and the kills fall
into its phases in turn. With ``--what all`` the runs are {1, 2 processes} x {0, 2 workers} x {plain, moving average and
accumulation, kept activations of a probe, gradual} in turn, saved within epochs too. With ``--what torchrun`` one of
the two processes of ``torchrun --max-restarts=3`` is killed, every second time while a checkpoint is written, and the
same torchrun must come to the end. With ``--what sides`` signals and volumes are learned in turn, with ``--what tasks``
masks, masks over a frozen part that is computed once, boxes, and how images are made. Prints a line a run and at the
end how many have the uninterrupted run's final weights and test loss.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice, product
from pathlib import Path

TORCHRUN = [
    sys.executable, "-m", "torch.distributed.run", "--max-restarts=3", "--nproc_per_node=2", "--monitor_interval=0.1",
    "-m",
]  # fmt: skip
os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # else torchrun's processes often do not meet again


@dataclass
class Case:
    name: str
    words: list[str]
    epochs: int
    phases: int = 1  # the kills fall into them in turn

    by_torchrun: bool = False

    def command(self, output: Path) -> list[str]:
        return [
            *(TORCHRUN if self.by_torchrun else [sys.executable, "-m"]), "cnntrain", *self.words, "resume=auto",
            f"trainer.epochs={self.epochs}",
            "trainer.device=cpu", f"output={output}",
        ]  # fmt: skip


FULL = Case(
    "full",
    ["model=lenet5", "data=fake", "data.channels=1", "data.train_size=640", "data.batch_size=32", "augment=flip_crop",
     "model.drop_rate=0.3", "trainer.grad_accum=2", "trainer.ema_decay=0.9", "schedule.patience=1",
     "schedule.warmup_epochs=1.5", "optim.lr=0.02", "checkpoint.every_steps=7"],
    epochs=30,
)  # fmt: skip
GRADUAL = Case(
    "gradual",
    ["model=resnet20", "data=fake", "data.train_size=256", "data.image_size=16", "data.batch_size=32", "augment=none",
     "model.pretrained=false", "model.drop_rate=0.3", "transfer=gradual", "transfer.every=6", "trainer.ema_decay=0.9",
     "optim.lr=0.02", "checkpoint.every_steps=3"],
    epochs=30,
    phases=5,  # of resnet20: its head, three stages, the stem
)  # fmt: skip
KINDS = {
    "plain": ["augment=flip_crop", "model.drop_rate=0.3"],
    "averaged": ["augment=flip_crop", "trainer.ema_decay=0.9", "trainer.grad_accum=2"],
    "probe": ["augment=none", "model.pretrained=false", "transfer=linear_probe", "transfer.cache=ram"],
    "gradual": ["augment=none", "model.pretrained=false", "transfer=gradual", "transfer.every=2"],
}
ALL = [
    Case(
        f"{kind}, {processes} x {workers} workers",
        ["model=resnet20", "data=fake", "data.train_size=256", "data.image_size=16", "data.batch_size=32",
         "optim.lr=0.02", "checkpoint.every_steps=3", f"devices={processes}", f"data.num_workers={workers}", *words],
        epochs=10,
        phases=5 if kind == "gradual" else 1,
    )
    for processes, workers, (kind, words) in product((1, 2), (0, 2), KINDS.items())
]  # fmt: skip
RESTARTED = Case(
    "torchrun",
    ["model=resnet20", "data=fake", "data.train_size=256", "data.image_size=16", "data.batch_size=32", "name=job",
     "augment=flip_crop", "model.drop_rate=0.3", "trainer.ema_decay=0.9", "optim.lr=0.02", "checkpoint.every_steps=3"],
    epochs=30,
    by_torchrun=True,
)  # fmt: skip
SIDES = [
    Case(
        "signals",
        ["model=lenet1d", "data=mnist1d", "data.train_per_class=60", "data.batch_size=50", "augment.mixup=0.2",
         "model.drop_rate=0.2", "trainer.ema_decay=0.9", "trainer.grad_accum=2", "checkpoint.every_steps=5"],
        epochs=30,
    ),
    Case(
        "volumes",
        ["model=resnet3d", "model.args.width=4", "data=moving_digits", "data.train_size=64", "data.val_size=32",
         "data.test_size=32", "augment.mixup=0.2", "model.drop_rate=0.2", "trainer.ema_decay=0.9", "optim.lr=0.02",
         "checkpoint.every_steps=1"],
        epochs=20,
    ),
]  # fmt: skip
SCENES = ["data=digit_scenes", "data.train_size=48", "data.val_size=8", "data.test_size=8", "data.canvas=32",
          "data.batch_size=8", "augment=flip_crop", "model.backbone=resnet20", "checkpoint.every_steps=2"]  # fmt: skip
TASKS = [
    Case(
        "segmentation", ["task=segment", "model=fcn", "optim.lr=0.02", "trainer.ema_decay=0.9", *SCENES], epochs=20
    ),
    Case(
        "segmentation, frozen",
        ["task=segment", "model=fcn", *SCENES, "augment=none", "model.pretrained=false", "transfer=linear_probe",
         "transfer.cache=ram"],
        epochs=20,
    ),
    Case(
        "detection",
        ["task=detect", "model=mask_rcnn", "model.args={channels: 16, hidden: 16, mask_channels: 8}", "optim=adamw",
         "task.metrics=[mask_map]", *SCENES],
        epochs=8,
    ),
    Case(
        "generation",
        ["task=generate", "model=dcgan", "model.args.width=8", "recipe=dcgan2016", "data=fake", "data.train_size=96",
         "data.val_size=32", "data.test_size=32", "data.image_size=16", "data.batch_size=16", "task.samples=64",
         "trainer.ema_decay=0.9", "checkpoint.every_steps=2"],
        epochs=20,
    ),
]  # fmt: skip
WHAT = {"sides": SIDES, "tasks": TASKS, "full": [FULL], "gradual": [GRADUAL], "all": ALL, "torchrun": [RESTARTED]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--what", choices=WHAT, default="full")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    cases = WHAT[args.what]
    with tempfile.TemporaryDirectory() as folder:
        wanted = {}
        for number, case in enumerate(cases[: args.runs]):
            start = time.monotonic()
            wanted[case.name] = digests(to_the_end(case, Path(folder) / f"uninterrupted-{number}"))
            print(f"{case.name}: uninterrupted {time.monotonic() - start:.1f} s, {wanted[case.name]}", flush=True)
        same = 0
        for number, (case, epoch) in enumerate(islice(moments(cases, rng), args.runs)):
            output = Path(folder) / str(number)
            if case.by_torchrun:
                killed = kill_a_rank(case, output, epoch, rng, at_a_write=number % 2 == 1)
                found = digests(result_of(output))
            else:
                killed = kill_somewhere(case, output, epoch, rng)
                found = digests(to_the_end(case, output))
            equal = found == wanted[case.name]
            same += equal
            print(f"run {number:2d}, {case.name}: killed {killed}; {'identical' if equal else found}", flush=True)
    print(f"{same} of {args.runs} identical")
    sys.exit(same != args.runs)


def moments(cases: list[Case], rng: random.Random) -> Iterator[tuple[Case, int]]:
    """The cases in turn, each with the epoch after which it is killed."""
    for number, case in enumerate(cycle(cases)):
        length = case.epochs // case.phases
        yield case, number // len(cases) % case.phases * length + rng.randrange(length)


def to_the_end(case: Case, output: Path) -> dict:
    """Run the command until it ends by itself; returns its result."""
    done = subprocess.run(case.command(output), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return result_of(output)


def result_of(output: Path) -> dict:
    runs = list(output.glob("*/*/result.json"))
    assert len(runs) == 1, f"a resumed run must stay in its folder, not {runs}"
    return json.loads(runs[0].read_text())


def kill_somewhere(case: Case, output: Path, epoch: int, rng: random.Random) -> str:
    """Start the command and kill it: while it starts, or a moment after `epoch` epochs; says where it stood."""
    delay = rng.uniform(0, 0.4) if epoch else rng.uniform(0.1, 6)
    process = subprocess.Popen(
        case.command(output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while epochs_done(output) < epoch and process.poll() is None:
        time.sleep(0.005)
    try:
        process.wait(delay)
        shutil.rmtree(output)  # it was faster: this was no kill
        return kill_somewhere(case, output, epoch, rng)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        waited = until_gone(process.pid)
    return f"{delay:.2f} s after epoch {epoch}, with {epochs_done(output)} epochs done (gone after {waited:.1f} s)"


def kill_a_rank(case: Case, output: Path, epoch: int, rng: random.Random, at_a_write: bool) -> str:
    """Start torchrun, kill one of its processes, and wait for the end of the run; says where it stood.

    Args:
        at_a_write: whether the first one is killed, while it writes; else any of the two, at any moment.
    """
    delay = rng.uniform(0, 0.4) if epoch else rng.uniform(3, 9)
    launcher = subprocess.Popen(case.command(output), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while epochs_done(output) < epoch and launcher.poll() is None:
        time.sleep(0.005)
    time.sleep(delay)
    while at_a_write and epoch and not list(output.glob("*/*/.*.ckpt.*.tmp")) and launcher.poll() is None:
        pass  # a write lasts for milliseconds
    children = {
        int(variable_of(each, "RANK") or 0): int(each)
        for each in Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
        if variable_of(each, "RANK") is not None
    }
    rank = 0 if at_a_write else rng.choice(sorted(children))
    os.kill(children[rank], signal.SIGKILL)
    left = [each.name for each in output.glob("*/*/.*.ckpt.*.tmp")]
    stood = epochs_done(output)
    said = launcher.communicate(timeout=600)[0]
    if launcher.returncode:
        sys.exit(f"exit code {launcher.returncode}\n{said}")
    assert "resume: " in said or not stood, said
    return f"process {rank} after {stood} epochs, {f'in the midst of {left}' if left else 'between writes'}"


def variable_of(process: str, name: str) -> str | None:
    """A variable of a process's environment."""
    lines = Path(f"/proc/{process}/environ").read_text().split("\0")
    return next((line.partition("=")[2] for line in lines if line.startswith(f"{name}=")), None)


def until_gone(session: int) -> float:
    """Wait for the processes that the killed one had started; seconds."""
    start = time.monotonic()
    while any(session_of(each) == session for each in Path("/proc").iterdir() if each.name.isdigit()):
        if time.monotonic() - start > 60:
            sys.exit("processes of the killed run are still there after a minute")
        time.sleep(0.05)
    return time.monotonic() - start


def session_of(process: Path) -> int | None:
    try:
        return os.getsid(int(process.name))
    except ProcessLookupError:
        return None


def epochs_done(output: Path) -> int:
    lines = [line for file in output.glob("*/*/metrics.jsonl") for line in file.read_text().splitlines()]
    return sum('"epoch"' in line for line in lines)


def digests(result: dict) -> tuple[str, float]:
    return result["weights_sha256"][:16], result["test"]["loss"]


if __name__ == "__main__":
    main()

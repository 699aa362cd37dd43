"""On one process every helper is an identity; several processes do what one does."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from ports import free_port
from slow import slow_if
from torch import nn

from cnntrain import cli
from cnntrain.cli import compose_and_start
from cnntrain.config.schema import TrainConfig
from cnntrain.core import dist, signals
from cnntrain.core.errors import ConfigError, InputError, RunError
from cnntrain.core.launch import _contained, _remove_abandoned, launch, report
from cnntrain.core.lock import LOCK, held
from cnntrain.core.store import SHARED_MEMORY
from cnntrain.runs import checkpoint

DDP = (  # of which the last step has half the images
    "data=fake", "model=lenet5", "data.train_size=36", "data.val_size=13", "data.test_size=101", "data.num_classes=7",
    "data.batch_size=8", "trainer.device=cpu", "trainer.epochs=2", "trainer.max_steps=10", "trainer.precision=float64",
    "optim.lr=0.02", "optim.momentum=0.9", "augment=flip_crop", "trainer.grad_accum=2", "trainer.clip_norm=1",
)  # fmt: skip


def test_alone_every_helper_is_an_identity() -> None:
    tensor, model = torch.ones(2), nn.Linear(2, 2)
    assert (dist.rank(), dist.world_size()) == (0, 1)
    assert dist.sum_over_ranks(tensor) is tensor
    assert dist.any_rank(True) and dist.on_one_machine()
    assert not dist.any_rank(False)
    assert dist.from_first(lambda: 5) == 5
    assert dist.wrap(model, torch.device("cpu")) is model
    dist.sync_gradients(model, on=False)
    dist.share_buffers(model)
    with dist.first_rank_first():
        pass


def test_a_folder_of_a_killed_launcher_is_deleted_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = ("killed", "held", "new", "other")
    for name in names:
        (tmp_path / f"cnntrain-{name}").mkdir()
        (tmp_path / f"cnntrain-{name}" / LOCK).touch()
    (tmp_path / "cnntrain-other" / LOCK).unlink()  # whatever that is
    for name in ("killed", "held", "other"):
        os.utime(tmp_path / f"cnntrain-{name}", (time.time() - 99,) * 2)
    with held(tmp_path / "cnntrain-held"):
        _remove_abandoned()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cnntrain-held", "cnntrain-new", "cnntrain-other"]


def test_gradients_are_exchanged_only_when_asked() -> None:
    network = nn.parallel.DistributedDataParallel.__new__(nn.parallel.DistributedDataParallel)
    nn.Module.__init__(network)
    dist.sync_gradients(network, on=False)
    assert not network.require_backward_grad_sync


def test_the_device_is_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert dist.pick_device("auto") == dist.pick_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="device=cuda: torch sees no CUDA device here"):
        dist.pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert dist.pick_device("auto") == torch.device("cuda", 1)
    assert dist.pick_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ConfigError, match="devices: 3 processes on this machine, which has 2 GPUs"):
        dist.pick_device("auto")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("no such file"), 2, "cnntrain: no such file\n"),
        (ConfigError("a is wrong", "b is wrong"), 2, "cnntrain: a is wrong\ncnntrain: b is wrong\n"),
        (RunError("the disk is full"), 1, "cnntrain: the disk is full\n"),
        (OSError(13, "Permission denied", "x"), 1, "cnntrain: [Errno 13] Permission denied: 'x'\n"),
    ],
)
def test_an_error_becomes_a_code_and_a_message(
    error: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(error) == code
    assert capsys.readouterr().err == said


def test_a_bug_shows_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        1 / 0  # noqa: B018
    assert report(caught.value) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("rank", "machine", "local", "turns"), [(1, 0, 1, 1), (2, 1, 0, 1), (3, 1, 1, 2)])
def test_another_rank_waits_for_the_first_to_speak(
    rank: int,
    machine: int,
    local: int,
    turns: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    slept: list[float] = []
    for name, value in (("RANK", rank), ("GROUP_RANK", machine), ("LOCAL_RANK", local)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(signals.time, "sleep", slept.append)
    monkeypatch.setattr(signals, "restore", lambda: None)
    assert report(InputError("x")) == 2
    assert slept == [turns * signals.FIRST_SPEAKS]
    assert capsys.readouterr().err == "cnntrain: x\n"


def interrupts() -> tuple[int, None]:
    """A rank during whose start somebody presses Ctrl-C."""
    if dist.rank() == 0:
        os.kill(os.getppid(), signal.SIGINT)
    time.sleep(60)
    return 0, None


@pytest.mark.no_cover
def test_an_interrupt_before_the_run_heeds_signals_ends_the_ranks(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        launch(interrupts, (), 2, "cpu")


def killed() -> tuple[int, None]:
    """A run one of whose processes is ended as the kernel does where memory is short."""
    if dist.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
    return 0, None


@pytest.mark.no_cover
def test_a_process_that_was_killed_is_said_and_this_one_is_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    def process() -> tuple[Any, ...]:
        levels = [logging.getLogger(f"torch.distributed.{each}").level for each in ("launcher", "elastic.agent.server")]
        return [signal.getsignal(each) for each in signals.HANDLED], levels, dict(os.environ)

    before = process()
    assert launch(killed, (), 2, "cpu") == (1, None)
    assert process() == before
    assert "cnntrain: a process of the run was ended by SIGKILL (out of memory?)" in capfd.readouterr().err


def wrong() -> tuple[int, None]:
    """A run with a mistake of the user's, which each process finds."""
    raise InputError("transfer.depth=99: this model has 5 groups")


def test_a_users_error_on_several_processes_is_one_message(capfd: pytest.CaptureFixture[str]) -> None:
    assert launch(wrong, (), 2, "cpu") == (2, None)
    assert capfd.readouterr() == ("", "cnntrain: transfer.depth=99: this model has 5 groups\n")


def hung() -> tuple[int, None]:
    """A run one of whose processes does not go on."""
    dist._flags = torch.distributed.new_group(backend="gloo", timeout=timedelta(seconds=1))
    if dist.rank() == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    dist.any_rank(False)
    return 0, None


@pytest.mark.slow
def test_a_process_that_hangs_is_said_after_a_while(capfd: pytest.CaptureFixture[str]) -> None:
    assert launch(hung, (), 2, "cpu") == (1, None)
    assert "cnntrain: another process of the run does not answer (" in capfd.readouterr().err


def test_torchs_launcher_does_not_look_this_machines_name_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no DNS answers that took 20 seconds, four times a run."""
    from torch.distributed.elastic.agent.server import api

    def hangs(*_: object) -> Any:
        raise AssertionError("a look-up")

    for name in ("gethostbyaddr", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, hangs)
    before = socket.getfqdn
    with _contained():
        assert api._get_fq_hostname() == socket.getfqdn() == socket.gethostname()
    assert socket.getfqdn is before


@pytest.mark.parametrize(
    ("here", "given", "wanted"), [("2", None, "lo"), ("2", "eth7", "eth7"), ("1", None, None), ("1", "eth7", "eth7")]
)
def test_ranks_of_one_machine_meet_inside_it(
    here: str, given: str | None, wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this gloo looks the machine's name up: 10 seconds for each of three groups where no DNS answers."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", here)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", given or "")
    if given is None:
        monkeypatch.delenv("GLOO_SOCKET_IFNAME")
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "eth0"), (2, "lo")])
    dist._meet_here()
    assert os.environ.get("GLOO_SOCKET_IFNAME") == wanted
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "")  # so that it is put back


def works_alone() -> tuple[int, None]:
    """A run whose first process works alone for longer than the others wait for a sign of it, then without a sign."""
    dist._alone = torch.distributed.new_group(backend="gloo", timeout=timedelta(seconds=1))
    dist.BEAT = 0.2

    def work() -> str:
        time.sleep(2)
        return "done"

    assert dist.from_first(work) == "done"
    with dist.first_rank_first():
        time.sleep(2 * (dist.rank() == 0))
    if dist.rank() > 0:
        print("the first has done its work", flush=True)
    dist.BEAT = 60
    dist.from_first(lambda: time.sleep(60))
    return 0, None


def test_processes_wait_for_the_first_as_long_as_it_tells_them_that_it_works(capfd: pytest.CaptureFixture[str]) -> None:
    start = time.monotonic()
    assert launch(works_alone, (), 2, "cpu") == (1, None)
    assert time.monotonic() - start < 50
    said = capfd.readouterr()
    assert "the first has done its work" in said.out
    assert "cnntrain: another process of the run does not answer (" in said.err


def test_a_first_process_that_works_alone_for_a_day_is_taken_to_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((0.0, 1.0, dist.ALONE))
    monkeypatch.setattr(dist.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(dist, "_tell", lambda said: [None])
    with pytest.raises(RunError, match="has worked alone for a day"):
        dist._wait_for_first()


KILLED_TORCHRUN = """
import sys, time
from cnntrain.core import signals, torchrun
torchrun.end_with_launcher()
with signals.handled():
    print("ready", flush=True)
    while signals.received() is None:
        time.sleep(0.01)
    print(signals.received(), flush=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's help is Linux's")
@pytest.mark.parametrize("by_torchrun", [True, False])
def test_a_process_of_a_torchrun_that_was_killed_is_asked_to_end(by_torchrun: bool, tmp_path: Path) -> None:
    """One that somebody started by hand may outlive its shell."""
    starts = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    environment = {**os.environ, **({"TORCHELASTIC_RUN_ID": "x"} if by_torchrun else {})}
    with subprocess.Popen(
        [sys.executable, "-c", starts, KILLED_TORCHRUN], stdout=subprocess.PIPE, env=environment, process_group=0
    ) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"ready\n"
        parent.kill()
        parent.wait()
        if not by_torchrun:
            time.sleep(0.2)
            os.killpg(parent.pid, signal.SIGINT)
        assert parent.stdout.readline() == (b"SIGTERM\n" if by_torchrun else b"SIGINT\n")


@pytest.mark.parametrize(
    "words",
    [
        "Timed out waiting 1000ms for recv operation to complete",
        "wait timeout after 1ms",
        "pair.cc:545 Read error: Connection reset by peer",
        "wait timeout after 30000ms, keys: /default_pg/0//cpu//0/2",
        "The client socket has failed to connect to 93.85.0.0:28285 (errno: 113 - No route to host).",
        "Gloo connectFullMesh failed with connect: Connection refused",
    ],
)
def test_a_rank_that_is_gone_is_said_in_plain_words_and_other_errors_are_as_they_are(words: str) -> None:
    with pytest.raises(RunError, match=re.escape(f"does not answer ({words})")), dist._absence_explained():
        raise RuntimeError(f"{words}\nmore")
    with pytest.raises(RuntimeError, match=r"^shapes$"), dist._absence_explained():
        raise RuntimeError("shapes")


def only_run(output: Path) -> Path:
    (path,) = output.glob("*/*/config.yaml")
    return path.parent


def evaluated(place: Path) -> dict[str, Any]:
    """The metrics of the last evaluation of a run in `place`."""
    return json.loads((place / "eval-fake-test/eval.json").read_text())


def counts(metrics: dict[str, Any]) -> tuple[int, float, float]:
    return metrics["count"], metrics["top1"] * metrics["count"], metrics["top5"] * metrics["count"]


def difference(one: Path, other: Path) -> float:
    """The largest one between the weights of two runs."""
    weights, others = (checkpoint.load(place / checkpoint.LAST)["model"] for place in (one, other))
    assert weights.keys() == others.keys()
    return max((weights[key] - others[key]).abs().max().item() for key in weights)


OWN_CODE = """
from dataclasses import dataclass
from cnntrain.schedule.base import Schedule

@dataclass(frozen=True)
class Halving(Schedule):
    def decay(self, position):
        return 0.5 ** (position.step // position.steps_per_epoch)
"""


@pytest.mark.no_cover
@pytest.mark.traced
def test_two_processes_train_as_one_does(
    tmp_path: Path, result_of: Any, metrics_of: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """Those that cnntrain itself starts, which have the user's own code too."""
    (tmp_path / "configs" / "schedule").mkdir(parents=True)
    (tmp_path / "configs" / "schedule" / "halving.yaml").write_text("defaults: [base, _self_]\nname: halving\n")
    (tmp_path / "own_halving.py").write_text(OWN_CODE)
    words = ("--import", str(tmp_path / "own_halving.py"), *DDP, "schedule=halving")
    assert cli.main([*words, f"output={tmp_path / 'one'}"]) == 0
    alone = only_run(tmp_path / "one")
    assert metrics_of(alone)[-2]["lr"] == 0.01  # of the second epoch
    temporary = Path(tempfile.mkdtemp(dir="/tmp"))  # not below tmp_path: a socket's path has 107 letters at most
    capfd.readouterr()
    with monkeypatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        patch.setattr(tempfile, "tempdir", None)
        code = cli.main([*words, "devices=2", "data.num_workers=1", f"output={tmp_path / 'two'}"])
    out, err = capfd.readouterr()
    two = only_run(tmp_path / "two")
    assert (code, out.splitlines()[-1], err) == (0, str(two), "")
    left = [each.name for each in temporary.iterdir()]
    assert not [name for name in left if not name.startswith("torchinductor_")]  # torch's cache
    shutil.rmtree(temporary)
    assert out.count("epoch   1/2") == 1
    assert result_of(two)["steps"] == 10
    assert difference(alone, two) <= 1e-10
    assert counts(result_of(two)["test"]) == counts(result_of(alone)["test"])
    assert result_of(two)["test"]["loss"] == pytest.approx(result_of(alone)["test"]["loss"], rel=1e-9)
    assert result_of(two)["train"]["images_per_second"] > 0


@pytest.mark.parametrize(
    "transfer",
    [
        (),
        ("transfer=linear_probe", "augment=none", "transfer.cache=ram"),
        pytest.param(
            ("transfer=gradual", "transfer.every=1", "augment=none", "trainer.epochs=3", "trainer.max_steps=15"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("transfer=linear_probe", "augment=none", "transfer.cache=disk", "trainer.ema_decay=0.5"),
            marks=pytest.mark.slow,
        ),
        ("transfer=freeze_depth", "transfer.depth=2"),
    ],
    ids=["full", "linear-probe-ram", "gradual", "linear-probe-disk", "freeze-depth-augmented"],
)
def test_processes_that_torchrun_started_train_and_evaluate_as_one_does(
    configure: Callable[..., TrainConfig], ranks: Callable[..., Any], tmp_path: Path, result_of: Any,
    transfer: tuple[str, ...],
) -> None:  # fmt: skip
    words = (*DDP[1:], "model.pretrained=false", *transfer)
    assert configure(*words).execute([]).code == 0
    own = [f"transfer.cache_dir={tmp_path / 'kept'}"] if "transfer.cache=disk" in transfer else []
    done = ranks("data=fake", *words, *own, f"output={tmp_path / 'two'}")
    alone, two = only_run(tmp_path), only_run(tmp_path / "two")
    assert done.stderr == "" and "on 2 x cpu" in done.stdout
    assert done.stdout.splitlines()[-1] == str(two)
    results = [result_of(place) for place in (alone, two)]
    assert results[1]["status"] == "finished" and results[0]["steps"] == results[1]["steps"] > 0
    assert difference(alone, two) <= 1e-10
    assert results[0]["frozen"] == results[1]["frozen"]
    assert counts(results[0]["test"]) == counts(results[1]["test"])
    assert not list(SHARED_MEMORY.glob("*"))
    ranks("eval", f"run={alone}", "device=cpu")
    assert counts(evaluated(alone)) == counts(results[0]["test"])
    assert evaluated(alone)["count"] == 101


@pytest.mark.slow
def test_three_processes_evaluate_as_one_does(
    configure: Callable[..., TrainConfig], tmp_path: Path, result_of: Any, capfd: Any
) -> None:
    assert configure(*DDP[1:]).execute([]).code == 0
    alone = only_run(tmp_path)
    assert compose_and_start("eval", [f"run={alone}", "devices=3", "device=cpu"]).code == 0
    assert capfd.readouterr().err == ""
    assert counts(evaluated(alone)) == counts(result_of(alone)["test"])


@pytest.mark.no_cover
@pytest.mark.parametrize("average", slow_if(["null"], ["null", "0.5"]))
def test_all_processes_evaluate_with_the_batch_statistics_of_the_first(
    ranks: Callable[..., Any], typed: Callable[..., Any], tmp_path: Path, metrics_of: Any, average: str
) -> None:
    """What two processes found of val is what one finds with the weights and statistics that were saved."""
    words = (*DDP[:5], "data.val_size=40", "model=resnet20", "data.batch_size=8", "optim.lr=0.1", "trainer.max_steps=2")
    words = (*words, "trainer.device=cpu", "trainer.precision=float64", f"trainer.ema_decay={average}")
    ranks(*words, "trainer.epochs=1", f"output={tmp_path / 'two'}")
    run = only_run(tmp_path / "two")
    assert typed("eval", f"run={run}", "part=val", "device=cpu").returncode == 0
    alone = json.loads((run / "eval-fake-val/eval.json").read_text())
    assert metrics_of(run)[0]["val/loss"] == pytest.approx(alone["loss"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["ram", "disk"])
def test_machines_of_unequally_many_processes_train_as_one_does(
    configure: Callable[..., TrainConfig], tmp_path: Path, result_of: Any, cache: str
) -> None:
    words = (*DDP[1:], "data.batch_size=9", "trainer.grad_accum=1", "augment=none", "model.pretrained=false")
    words = (*words, "transfer=linear_probe", f"transfer.cache={cache}")
    assert configure(*words).execute([]).code == 0
    meeting = f"--rdzv_endpoint=localhost:{free_port()}"
    launcher = ["-m", "torch.distributed.run", "--nnodes=2", "--rdzv_backend=c10d", meeting]
    machines = [
        subprocess.Popen(
            [sys.executable, *launcher, f"--nproc_per_node={count}", "-m", "cnntrain", "data=fake", *words,
             f"transfer.cache_dir={tmp_path}/kept-{count}", f"output={tmp_path / 'two'}"],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL,
        )
        for count in (1, 2)
    ]  # fmt: skip
    assert [each.wait(120) for each in machines] == [0, 0]
    assert difference(only_run(tmp_path), only_run(tmp_path / "two")) <= 1e-10
    assert len(list(tmp_path.glob("kept-*/*"))) == (4 if cache == "disk" else 0)

"""A number is of the command that tells it."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cnntrain.training import usage
from cnntrain.training.usage import Usage

CPU = torch.device("cpu")


@pytest.mark.skipif(not Usage(CPU).is_own, reason="this system cannot forget a process's peak")
def test_the_peak_of_a_job_is_not_that_of_one_before_it() -> None:
    def job(megabytes: int) -> int:
        used = Usage(CPU)
        block = torch.ones(megabytes << 18)
        del block
        return used.peak_memory()

    large, small = job(400), job(1)
    assert large - small > 350 << 20


def test_where_it_cannot_be_forgotten_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "PROCESS", tmp_path / "no proc")
    used = Usage(CPU)
    assert used.peak_memory() > 1e6
    assert used.peak_memory_of(0) == "this process, since the process began"
    assert used.peak_memory_of(2) == "this process, without its 2 workers a loader, since the process began"


def test_of_several_processes_the_first_one_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage.dist, "world_size", lambda: 3)
    used = Usage(CPU)
    used.is_own = True
    assert used.peak_memory_of(2) == "this process, the first of 3, without its 2 workers a loader"
    monkeypatch.setattr(usage.dist, "world_size", lambda: 1)
    assert used.peak_memory_of(0) == "this process"


def test_the_peak_is_linuxs_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "PROCESS", tmp_path)
    (tmp_path / "status").write_text("Name:\tpython: x\nVmPeak:\t 9000 kB\nVmHWM:\t  4000 kB\n")
    used = Usage(CPU)
    assert used.is_own and (tmp_path / "clear_refs").read_text() == "5"
    assert used.peak_memory() == 4000 * 1024
    (tmp_path / "status").write_text("VmHWM:\t 0 kB\n")
    assert not Usage(CPU).is_own
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert abs(Usage(CPU).peak_memory() - most) < 1 << 28
    (tmp_path / "status").write_text("Name:\tpython\n")
    assert not Usage(CPU).is_own


def test_seconds_are_from_the_start_of_the_command() -> None:
    now = iter([103.0, 110.0, 120.0])
    used = Usage(CPU, 100.0, lambda: next(now))
    assert used.first_step is None
    for _ in range(2):
        used.step_done()
    assert (used.first_step, used.seconds) == (3.0, 10.0)


@pytest.mark.gpu
def test_of_a_gpu_the_tensors_count() -> None:
    """In a process of its own, which has not used the GPU before."""
    code = (
        "import torch; from cnntrain.training.usage import Usage; used = Usage(torch.device('cuda', 0))\n"
        "torch.ones(1 << 20, device='cuda'); print(used.peak_memory(), used.peak_memory_of(2))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == f"{4 << 20} tensors on cuda:0\n"

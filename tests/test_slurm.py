"""``scripts/cnntrain.sbatch`` on a real SLURM: ``scripts/slurm_test.sh python -m pytest -n 0 -m slurm``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slurm

SCRIPT = Path(__file__).parents[1] / "scripts" / "cnntrain.sbatch"
RUN = ("experiment=smoke", "trainer.device=cpu", "trainer.precision=float64")
LONGER = (*RUN, "data.train_size=2000", "trainer.epochs=6", "trainer.max_steps=null")
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}
SECONDS = 120.0


def said(*words: str, **environment: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    return done.stdout.strip()


def state(job: str) -> tuple[str, str]:
    """Such as COMPLETED and 0:0."""
    shown = said("scontrol", "show", "job", job)
    return tuple(re.search(rf"{key}=(\S+)", shown)[1] for key in ("JobState", "ExitCode"))  # type: ignore[index,return-value]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, said("squeue")
        time.sleep(0.3)


def submitted(nodes: int, *words: str, on: str = "test") -> str:
    """Hand in a job of two processes a node; returns its number."""
    settings = ("--parsable", f"--partition={on}", f"--nodes={nodes}")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return said("sbatch", *settings, str(SCRIPT), *words, RANKS="2", PATH=path)


@pytest.fixture
def submit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """`submitted`, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return submitted


def printed(job: str) -> str:
    path = Path(f"slurm-{job}.out")
    return path.read_text() if path.is_file() else ""


def result(job: str) -> dict[str, Any]:
    (path,) = Path("outputs", f"job-{job}").glob("*/result.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_finished_job_is_completed_and_what_waits_for_it_starts(submit: Callable[..., str], nodes: int) -> None:
    job = submit(nodes, *RUN)
    after = said("sbatch", "--parsable", f"--dependency=afterok:{job}", "--wrap=true")
    until(lambda: state(job)[0] in ENDED)
    assert state(job) == ("COMPLETED", "0:0"), printed(job)
    assert result(job)["status"] == "finished"
    assert f"on {2 * nodes} x cpu" in printed(job)
    until(lambda: state(after)[0] in ENDED)
    assert state(after) == ("COMPLETED", "0:0")


def test_a_wrong_configuration_is_a_failed_job(submit: Callable[..., str]) -> None:
    job = submit(1, "trainer.epoch=3")
    until(lambda: state(job)[0] in ENDED)
    assert state(job)[0] == "FAILED" and "did you mean" in printed(job)


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The digest of the weights of a run that nobody disturbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("alone"))
        job = submitted(1, *LONGER)
        until(lambda: state(job)[0] in ENDED)
        assert state(job) == ("COMPLETED", "0:0"), printed(job)
        yield result(job)["weights_sha256"]


def test_a_job_that_is_told_to_end_saves_is_requeued_and_ends_as_one_left_alone(
    submit: Callable[..., str], left_alone: str
) -> None:
    job = submit(1, *LONGER)
    until(lambda: "epoch   2/6" in printed(job))
    said("scancel", "--signal=USR1", job)
    until(lambda: "Restarts=1" in said("scontrol", "show", "job", job) and state(job)[0] == "PENDING")
    time.sleep(5)  # before, SLURM does not listen
    said("scontrol", "update", f"JobId={job}", "StartTime=now")  # else it waits two minutes
    until(lambda: state(job)[0] in ENDED)
    assert state(job) == ("COMPLETED", "0:0"), printed(job)
    assert "stopped after saving" in printed(job)
    assert result(job)["weights_sha256"] == left_alone


def test_a_job_that_somebody_cancels_saves_and_stays_cancelled(submit: Callable[..., str]) -> None:
    job = submit(1, *LONGER)
    until(lambda: "epoch   2/6" in printed(job))
    said("scancel", job)
    until(lambda: "stopped after saving" in printed(job) and not said("squeue", "-h", "-j", job))
    time.sleep(3)
    assert state(job)[0] == "CANCELLED" and result(job)["status"] == "stopped"


@pytest.mark.parametrize("moment", ["", "epoch   1/6", "epoch   2/6", "epoch   4/6", "epoch   5/6"])
def test_a_job_that_has_to_make_room_goes_on_afterwards_and_ends_as_one_left_alone(
    submit: Callable[..., str], left_alone: str, moment: str
) -> None:
    """In its grace time a job is asked to end, and is SLURM's COMPLETED when it does: it has to requeue itself."""
    job = submit(1, *LONGER, "checkpoint.every_steps=7", on="spare")
    until(lambda: state(job)[0] == "RUNNING" and (not moment or moment in printed(job)))
    urgent = said("sbatch", "--parsable", "--partition=now", "--nodes=2", "--exclusive", "--wrap=sleep 3")
    until(lambda: state(urgent)[0] in ENDED and "Restarts=1" in said("scontrol", "show", "job", job))
    until(lambda: state(job)[0] != "RUNNING")
    time.sleep(5)  # before, SLURM does not listen
    if state(job)[0] == "PENDING":
        said("scontrol", "update", f"JobId={job}", "StartTime=now")  # else it waits two minutes
    until(lambda: state(job)[0] in ENDED)
    assert state(job) == ("COMPLETED", "0:0"), printed(job)
    assert state(urgent) == ("COMPLETED", "0:0")
    assert result(job)["weights_sha256"] == left_alone


def test_a_sweep_is_an_array_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="the extra slurm is not installed")
    monkeypatch.chdir(tmp_path)
    settings = ("partition=test", "mem_gb=null", "cpus_per_task=1", "tasks_per_node=1")
    typed = [f"hydra.launcher.{each}" for each in settings]
    said(
        sys.executable, "-m", "cnntrain", "-m", "hydra/launcher=submitit_slurm", *typed, *RUN, "seed=0,1", "name=sweep"
    )
    found = [json.loads(path.read_text())["status"] for path in Path("outputs/sweep").glob("*/result.json")]
    assert found == ["finished", "finished"]

"""A sweep of several jobs at a time by joblib: its table, and that a signal to it alone saves all that is at work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TINY = (
    "data=fake", "data.channels=1", "data.train_size=256", "data.val_size=64", "data.test_size=64",
    "data.batch_size=32", "model=lenet5", "trainer.device=cpu", "trainer.epochs=12", "report.html=false",
    "report.trackers=[]",
)  # fmt: skip
SWEEP = (*TINY, "seed=range(3)", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=sweep")


@pytest.mark.slow
def test_a_signal_stops_all_jobs_and_the_same_command_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the extra joblib is not installed")

    def begun() -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "cnntrain", "-m", *SWEEP]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            line, cwd=tmp_path, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    process = begun()
    while len(list(tmp_path.glob("outputs/*/*/last.ckpt"))) < 2 and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 75, said
    assert said.count("stopped after saving") == 2 and "the same command goes on" in said
    jobs = json.loads((tmp_path / "sweep/sweep.json").read_text())["jobs"]
    assert [each["status"] for each in jobs] == ["stopped"] * 3

    process = begun()
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    assert said.count("resume: ") == 2
    found = json.loads((tmp_path / "sweep/sweep.json").read_text())
    assert [each["status"] for each in found["jobs"]] == ["finished"] * 3
    assert [(each["jobs"], len(each["values"])) for each in found["tables"][0]["configurations"]] == [(3, 3)]
    for run in tmp_path.glob("outputs/*/*/metrics.jsonl"):
        epochs = [json.loads(line).get("epoch") for line in run.read_text().splitlines()]
        assert [each for each in epochs if each is not None] == list(range(1, 13))

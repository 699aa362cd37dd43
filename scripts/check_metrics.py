"""Every figure of an evaluation against scikit-learn and torchmetrics, on one process and on several.

usage: python scripts/check_metrics.py <run folder> [<run folder> ...] [--processes 1,2,3]

Evaluates each run by the command line, and computes from the labels and logits that it left, read by pyarrow alone,
what eval.json says. Printed for each evaluation is the largest difference, and of which figure; then how far the
figures of several processes are from those of one, whose batches and with them the last bits of the logits are others.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import torch
from scipy.special import log_softmax, softmax
from sklearn import metrics as sk
from torchmetrics.functional.classification import multiclass_calibration_error

BINS = 15


def evaluated(run: str, processes: int) -> Path:
    """The folder of an evaluation of the run's test part."""
    words = ["eval", f"run={run}", f"devices={processes}", "device=cpu", "pictures=false"]
    done = subprocess.run([sys.executable, "-m", "cnntrain", *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return Path(done.stdout.splitlines()[-1])


def ours(folder: Path) -> dict[str, float]:
    """The figures of eval.json under flat names."""
    found = json.loads((folder / "eval.json").read_text())
    flat = {name: found[name] for name in ("top1", "top5", "loss")}
    flat |= found["scores"]
    flat |= {f"{kind} {name}": value for kind, each in found["averages"].items() for name, value in each.items()}
    for row in found["per_class"]:
        flat |= {f"{row['name']} {name}": row[name] for name in ("precision", "recall", "f1", "support")}
    for row, line in enumerate(found["confusion"]):
        flat |= {f"confusion {row},{column}": value for column, value in enumerate(line)}
    for when in ("before", "after"):
        if found["calibration"][when] is not None:
            flat |= {f"{when} {name}": found["calibration"][when][name] for name in ("ece", "nll", "brier")}
    return {**flat, "temperature": found["calibration"]["temperature"] or 1.0}


def theirs(folder: Path, temperature: float, names: list[str]) -> dict[str, float]:
    """The same, by scikit-learn and torchmetrics."""
    table = parquet.read_table(folder / "predictions.parquet")
    labels = table["label"].to_numpy()
    logits = np.stack(table["logits"].to_numpy()).astype(np.float64)
    guesses, every = logits.argmax(1), range(logits.shape[1])
    plain = softmax(logits, axis=1)
    areas = {
        "roc_auc": np.mean([sk.roc_auc_score(labels == each, plain[:, each]) for each in np.unique(labels)]),
        "pr_auc": np.mean([sk.average_precision_score(labels == each, plain[:, each]) for each in np.unique(labels)]),
    }
    found: dict[str, Any] = {
        "top1": sk.accuracy_score(labels, guesses),
        "top5": sk.top_k_accuracy_score(labels, logits, k=min(5, len(every)), labels=every),
        "loss": -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean(),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, guesses),
        "macro_f1": sk.f1_score(labels, guesses, average="macro"),
        "weighted_f1": sk.f1_score(labels, guesses, average="weighted"),
        "mcc": sk.matthews_corrcoef(labels, guesses),
        "kappa": sk.cohen_kappa_score(labels, guesses),
        **areas,
        "temperature": temperature,
    }
    for kind in ("macro", "micro", "weighted"):
        values = sk.precision_recall_fscore_support(labels, guesses, average=kind, zero_division=0)[:3]
        found |= dict(zip((f"{kind} {name}" for name in ("precision", "recall", "f1")), values, strict=True))
    classes = list(dict.fromkeys(name.rsplit(" ", 1)[0] for name in names if name.endswith(" support")))
    rows = sk.precision_recall_fscore_support(labels, guesses, labels=every, zero_division=0)
    for title, values in zip(("precision", "recall", "f1", "support"), rows, strict=True):
        found |= {f"{name} {title}": value for name, value in zip(classes, values, strict=True)}
    matrix = sk.confusion_matrix(labels, guesses, labels=every)
    found |= {f"confusion {row},{column}": matrix[row, column] for row in every for column in every}
    for when, heat in (("before", 1.0), ("after", temperature)):
        given = softmax(logits / heat, axis=1)
        found[f"{when} ece"] = multiclass_calibration_error(
            torch.from_numpy(given), torch.from_numpy(labels), len(every), n_bins=BINS
        ).item()
        found[f"{when} nll"] = sk.log_loss(labels, given, labels=every)
        found[f"{when} brier"] = np.square(given - np.eye(len(every))[labels]).sum(1).mean()
    return {name: float(found[name]) for name in names}


def largest(first: dict[str, float], second: dict[str, float]) -> str:
    name = max(first, key=lambda each: abs(first[each] - second[each]))
    return f"{abs(first[name] - second[name]):.1e} ({name})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--processes", default="1,2,3")
    asked = parser.parse_args()
    for run in asked.runs:
        alone: dict[str, float] | None = None
        for processes in map(int, asked.processes.split(",")):
            folder = evaluated(run, processes)
            figures = ours(folder)
            wanted = theirs(folder, figures["temperature"], list(figures))
            line = (
                f"{run}, {processes} processes: {len(figures)} figures, largest difference {largest(figures, wanted)}"
            )
            alone = alone or figures
            print(f"{line}; from one process {largest(figures, alone)}", flush=True)


if __name__ == "__main__":
    main()

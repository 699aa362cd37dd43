"""What was measured of a trained network, for scripts and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cnntrain.build.trained import Trained
from cnntrain.core.cores import usable
from cnntrain.export.latency import Latency
from cnntrain.export.parity import Proof
from cnntrain.tasks.base import Task

COLUMNS = ("", "threads", "batch", "ms", "fastest", "images/s", "of eager's")
DIFFERENCE = "difference"


def facts(found: Trained, times: Sequence[Latency], proofs: Mapping[str, Proof]) -> dict[str, Any]:
    """What ``format=json`` shows."""
    return {
        "model": found.config.model.name,
        "checkpoint": str(found.path),
        "epoch": found.epoch,
        "channels": found.seen.channels,
        "image_size": found.seen.image_size,
        "shape": [*found.seen.shape],
        "cores": usable(),
        "latency": [asdict(each) for each in times],
        "answers": {
            name: {
                "part": each.part,
                "count": each.count,
                each.metric: each.exported,
                "interval": each.interval,
                "changed": each.changed,
                "largest": each.largest,
            }
            for name, each in proofs.items()
        },
    }


def title(found: Trained) -> str:
    shape = " x ".join(map(str, found.seen.shape))
    return f"{found.config.model.name} alone, {shape}, in float32 on the CPU"


def columns(task: Task, proofs: Mapping[str, Proof]) -> Sequence[str]:
    """The metric and the difference where images were judged."""
    return (*COLUMNS, task.columns[0].title, DIFFERENCE) if proofs else COLUMNS


def rows(task: Task, times: Sequence[Latency], proofs: Mapping[str, Proof]) -> list[list[str]]:
    return [[*_times(each), *(_answers(task, proofs[each.variant]) if proofs else ())] for each in times]


def _times(each: Latency) -> list[str]:
    return [
        each.variant,
        str(each.threads),
        str(each.batch_size),
        f"{each.ms:,.3g}" if each.ms < 100 else f"{each.ms:,.0f}",
        f"{each.fastest_ms:,.3g}" if each.fastest_ms < 100 else f"{each.fastest_ms:,.0f}",
        f"{each.images_per_second:,.0f}" if each.images_per_second >= 10 else f"{each.images_per_second:.2g}",
        f"{each.ratio:.2f}",
    ]


def _answers(task: Task, proof: Proof) -> list[str]:
    return [task.columns[0].text(proof.exported), f"{proof.largest:.1g}"]


def lines(proofs: Mapping[str, Proof], times: Sequence[Latency]) -> list[str]:
    """What the numbers are of."""
    told = ["ms: a batch, ready and normalised; median of the rounds, and the fastest call of all"]
    for proof in list(proofs.values())[:1]:
        told.append(
            f"{proof.count:,} {proof.inputs} of {proof.part} were judged; difference: the largest of {proof.number} "
            "from eager's"
        )
    if max(each.threads for each in times) > usable():
        told.append(f"note: more threads than the {usable()} cores that this process may use")
    return told

"""The model card of an exported network (Mitchell et al. 2019, arXiv:1810.03993), of what is known of its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnntrain.core.words import listed, printable
from cnntrain.export import card_words, parity
from cnntrain.export.parity import Proof
from cnntrain.tasks.base import Column

TARGETS = {"label": "labels", "labels": "labels", "mask": "masks", "boxes": "boxes"}
WHOLE = 10**6  # characters: a command is given whole


def text(facts: Mapping[str, Any], column: Column, result: Mapping[str, Any]) -> str:
    """Markdown.

    Args:
        facts: what ``export.json`` holds.
        column: of the metric that people look at first.
        result: of the run, empty where it has not ended.
    """
    config = facts["config"]
    model, data = printable(config["model"]["name"]), config["data"]
    parts = [
        f"# {model} on {printable(data['name'])}",
        f"{_kind(facts)} Exported by cnntrain {facts['versions']['cnntrain']} from epoch {facts['epoch']} of a run; "
        f"SHA-256 of its weights {facts['weights_sha256']}.",
        "## Data\n\n" + _data(facts),
        "## How good it is\n\n" + _accuracy(facts, column, result),
        "## What goes in, and what comes out\n\n" + card_words.seen(facts),
        "## To use it\n\n" + _use(facts),
        "## What it is for, and what not\n\n" + card_words.limits(facts, column.words),
        f"## To repeat it\n\n    {printable(result.get('command', 'cnntrain ...'), WHOLE)}\n"
        f"    {printable(facts['command'], WHOLE)}\n\n"
        f"Versions: {', '.join(f'{name} {number}' for name, number in facts['versions'].items())}. `export.json` has "
        "the whole configuration.",
    ]
    return "\n\n".join(each.rstrip() for each in parts) + "\n"


def _kind(facts: Mapping[str, Any]) -> str:
    folded = f", {facts['folded']} BatchNorms folded into convolutions" if facts["folded"] else ""
    whole = "the generator" if facts["target"] == "image" else "preprocessing, network"
    kinds = {
        "onnx": f"`model.onnx`: {whole} and classes in one file{folded}.",
        "torch": f"`model.pt2`, a program of torch.export: {whole}{folded}.",
        "safetensors": "`model.safetensors`: weights alone, in timm's layout; `config.json` says what goes in.",
    }
    bits = " Convolutions and matrix products are of 8 bits." if facts["int8"] else ""
    return kinds[facts["format"]] + bits


def _data(facts: Mapping[str, Any]) -> str:
    return (
        f"{printable(facts['config']['data']['name'])}; fingerprint {facts['fingerprint']}. {len(facts['classes'])} "
        f"classes: {listed([printable(each) for each in facts['classes']])}."
    )


def _accuracy(facts: Mapping[str, Any], column: Column, result: Mapping[str, Any]) -> str:
    proof = Proof(**facts["proof"])
    inputs = proof.inputs
    rows = [f"| {proof.part}, this file | {proof.count:,} | {_value(column, proof.exported, proof.interval)} |"]
    rows.append(f"| {proof.part}, before the export | {proof.count:,} | {_value(column, proof.ours, None)} |")
    test = result.get("test")
    if test and test.get(column.name) is not None and not facts["int8"]:
        interval = (result.get("test_interval") or {}).get(column.name)
        rows.append(f"| test, the run's own | {test['count']:,.0f} | {_value(column, test[column.name], interval)} |")
    calibrated = f" The {inputs} by which 8 bits were calibrated are among those of val." if facts["int8"] else ""
    sure = "Intervals are of 95%. " if proof.interval else ""
    return (
        f"| {inputs} | n | {column.title} |\n|---|---|---|\n" + "\n".join(rows) + "\n\n"
        f"{sure}The epoch was chosen by val, so only a test tells what to expect of new {inputs}."
        f"{calibrated} By the export {parity.differing(proof)}."
    )


def _value(column: Column, value: float, interval: Any) -> str:
    ends = f" ({column.text(interval[0])} to {column.text(interval[1])})" if interval else ""
    return column.text(value) + ends


def _use(facts: Mapping[str, Any]) -> str:
    if facts["format"] == "safetensors":
        code = card_words.code_of_weights(facts)
        return f"```{'python' if facts['timm'] else 'bash'}\n{code}```\n"
    again, inputs = "", facts["proof"]["inputs"]
    if facts["format"] == "onnx":
        again = (
            "\n`cnntrain predict run=model.onnx samples=64 output=<new folder>` makes images.\n"
            if facts["target"] == "image"
            else f"\n`cnntrain eval run=model.onnx` judges it on {inputs} with {TARGETS[facts['target']]}.\n"
        )
    return f"```python\n{card_words.code(facts)}```\n{again}"

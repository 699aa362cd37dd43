"""The model card of an exported network (Mitchell et al. 2019, arXiv:1810.03993), of what is known of its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnntrain.core.words import listed, printable
from cnntrain.tasks.base import Column

WHOLE = 10**6  # characters: a command is given whole
CROPS = {
    "center": "the shorter side is resized to {scaled} pixels, and the middle {size}x{size} are taken",
    "pad": "the longer side is resized to {scaled} pixels, a border is added, and the middle {size}x{size} are taken",
    "squash": "both sides are resized to {scaled} pixels, and the middle {size}x{size} are taken",
}
USES = {
    "onnx": """import json
import numpy as np, onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession("model.onnx")
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
image = Image.open("image.png").convert("{mode}")
pixels = np.array(image).reshape(1, image.height, image.width, {channels})
logits, probabilities = session.run(None, {{"images": pixels}})
print(classes[probabilities[0].argmax()])
""",
    "torch": """import numpy as np, torch
from PIL import Image

model = torch.export.load("model.pt2").module()
image = Image.open("image.png").convert("{mode}")
pixels = torch.from_numpy(np.array(image)).reshape(1, image.height, image.width, {channels})
logits, probabilities = model(pixels)
""",
    "timm": """import timm

model = timm.create_model("{name}", num_classes={classes}, in_chans={channels}, checkpoint_path="model.safetensors")
model.eval()
""",
    "cnntrain": """cnntrain model={name} model.weights=model.safetensors ...
""",
}


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
        "## Data\n\n" + _data(facts, result),
        "## How good it is\n\n" + _accuracy(facts, column, result),
        "## What it sees\n\n" + _seen(facts),
        "## To use it\n\n" + _use(facts),
        "## What it is for, and what not\n\n" + _limits(facts, column),
        f"## To repeat it\n\n    {printable(result.get('command', 'cnntrain ...'), WHOLE)}\n"
        f"    {printable(facts['command'], WHOLE)}\n\n"
        f"Versions: {', '.join(f'{name} {number}' for name, number in facts['versions'].items())}. `export.json` has "
        "the whole configuration.",
    ]
    return "\n\n".join(each.rstrip() for each in parts) + "\n"


def _kind(facts: Mapping[str, Any]) -> str:
    folded = f", {facts['folded']} BatchNorms folded into convolutions" if facts["folded"] else ""
    kinds = {
        "onnx": f"`model.onnx`: preprocessing, network and classes in one file{folded}.",
        "torch": f"`model.pt2`, a program of torch.export: preprocessing and network{folded}.",
        "safetensors": "`model.safetensors`: weights alone, in timm's layout; `config.json` says how images are seen.",
    }
    bits = " Convolutions and matrix products are of 8 bits." if facts["int8"] else ""
    return kinds[facts["format"]] + bits


def _data(facts: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    data, known = facts["config"]["data"], result.get("data") or {}
    counts = [
        f"{known[part]:,} images of {part}" for part in ("train", "val", "test") if isinstance(known.get(part), int)
    ]
    return (
        f"{printable(data['name'])}{': ' + ', '.join(counts) if counts else ''}; fingerprint {facts['fingerprint']}. "
        f"{len(facts['classes'])} classes: {listed([printable(each) for each in facts['classes']])}."
    )


def _accuracy(facts: Mapping[str, Any], column: Column, result: Mapping[str, Any]) -> str:
    proof = facts["proof"]
    rows = [
        f"| {proof['part']}, this file | {proof['count']:,} | {_value(column, proof['exported'], proof['interval'])} |"
    ]
    rows.append(f"| {proof['part']}, before the export | {proof['count']:,} | {_value(column, proof['ours'], None)} |")
    test = result.get("test")
    if test and test.get(column.name) is not None and not facts["int8"]:
        interval = (result.get("test_interval") or {}).get(column.name)
        rows.append(f"| test, the run's own | {test['count']:,.0f} | {_value(column, test[column.name], interval)} |")
    calibrated = " The images by which 8 bits were calibrated are among those of val." if facts["int8"] else ""
    return (
        f"| images | n | {column.title} |\n|---|---|---|\n" + "\n".join(rows) + "\n\n"
        f"Intervals are of 95%. The epoch was chosen by val, so only a test tells what to expect of new images."
        f"{calibrated} Over val {proof['changed']} of {proof['count']:,} answers changed by the export; the largest "
        f"difference of a probability is {proof['largest']:.2g}."
    )


def _value(column: Column, value: float, interval: Any) -> str:
    ends = f" ({column.text(interval[0])} to {column.text(interval[1])})" if interval else ""
    return column.text(value) + ends


def _seen(facts: Mapping[str, Any]) -> str:
    seen = facts["preprocess"]
    size, scaled = seen["image_size"], int(seen["image_size"] / seen["crop_fraction"])
    where = "Your program does this" if facts["format"] == "safetensors" else "This is in the file"
    depth = "Grey" if seen["channels"] == 1 else "RGB"
    warmth = facts["temperature"]
    scaling = f" Probabilities are of logits divided by {warmth:.4g}, which was fitted on val." if warmth else ""
    return (
        f"{depth} images of 8 bits, upright, what is transparent laid on {seen['background']}. {where}: "
        f"{CROPS[seen['crop']].format(size=size, scaled=scaled)} ({seen['interpolation']}, as Pillow resizes); mean "
        f"{seen['mean']} and deviation {seen['std']} of values in [0, 1].{scaling}"
    )


def _use(facts: Mapping[str, Any]) -> str:
    seen, config = facts["preprocess"], facts["config"]
    kind = facts["format"] if facts["format"] != "safetensors" else "timm" if facts["timm"] else "cnntrain"
    code = USES[kind].format(
        mode="L" if seen["channels"] == 1 else "RGB",
        channels=seen["channels"],
        name=config["model"]["name"],
        classes=len(facts["classes"]),
    )
    again = "\n`cnntrain eval run=model.onnx` judges it on images with labels.\n" if kind == "onnx" else ""
    return f"```{'bash' if kind == 'cnntrain' else 'python'}\n{code}```\n{again}"


def _limits(facts: Mapping[str, Any], column: Column) -> str:
    count = len(facts["classes"])
    return (
        f"To tell the {count} classes above from each other in images like those of its data. It always names classes "
        "that it knows, of whatever image; other cameras, places or kinds of images than those of its data may be "
        f"judged far worse than the {column.words} above says. Nothing is known of how it differs between groups of "
        "people or things that its data do not tell apart. Judge it on images of your own before it decides anything "
        "that matters."
    )

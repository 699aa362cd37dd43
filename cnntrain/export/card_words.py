"""What goes into an exported network and what comes out of it, in words and in code that uses it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from cnntrain.core import plain_json
from cnntrain.data.base import is_picture
from cnntrain.models import registry

Facts = Mapping[str, Any]  # what ``export.json`` holds
CROPS = {
    "center": "the shorter side is resized to {scaled} pixels, and the middle {size}x{size} are taken",
    "pad": "the longer side is resized to {scaled} pixels, a border is added, and the middle {size}x{size} are taken",
    "squash": "both sides are resized to {scaled} pixels, and the middle {size}x{size} are taken",
}
KNOWING = (
    "in {inputs} like those of its data. It always names classes that it knows, of whatever it is given; other "
    "devices, places or kinds of {inputs} than those of its data may be judged far worse than the {metric} above says. "
    "Nothing is known of how it differs between groups of people or things that its data do not tell apart. Judge it "
    "on {inputs} of your own before it decides anything that matters."
)
LIMITS = {
    "label": "To tell the {count} classes above from each other " + KNOWING,
    "labels": "To tell which of the {count} classes above are there " + KNOWING,
    "mask": "To give each pixel one of the {count} classes above " + KNOWING,
    "boxes": "To find objects of the {count} classes above " + KNOWING,
    "image": (
        "To make images like those of its data. Nothing was looked for that it may have by heart: an image may be "
        "nearly one that it was trained on. What its data lack or have too much of, its images lack or have too much "
        "of, and what they show never happened."
    ),
}
ANSWERS = {
    "label": "print(classes[probabilities[0].argmax()])",
    "labels": "print([name for name, value in zip(classes, probabilities[0]) if value > 0.5])",
    "mask": "mask = probabilities[0].argmax(0)  # of each pixel a position in classes\n"
    "print({classes[each] for each in mask.flatten().tolist()})",
    "boxes": "for box, score, label in zip(boxes, scores, labels):\n"
    "    if score >= 0.5:\n"
    "        print(classes[label], float(score), box.tolist())",
    "image": 'Image.fromarray(np.asarray(images[0]).squeeze()).save("made.png")\nprint(images.shape)',
}
OPENED = {
    "onnx": 'session = onnxruntime.InferenceSession("model.onnx")',
    "torch": 'model = torch.export.load("model.pt2").module()',
}
CLASSES = {
    "onnx": 'classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])',
    "torch": 'with open("export.json") as file:\n    classes = json.load(file)["classes"]',
}
CALLED = {
    "onnx": '{results} = session.run(None, {{"{name}": {name}}})',
    "torch": "{results} = model(torch.from_numpy({name}))",
}
RESULTS = {"image": "values, images", "boxes": "boxes, scores, labels, *masks"}
RUNTIMES = {"onnx": "onnxruntime", "torch": "torch"}


def seen(facts: Facts) -> str:
    """What goes in, what becomes of it, and what comes out."""
    told = [_given(facts)]
    if facts["target"] == "mask":
        size = facts["preprocess"]["image_size"]
        told.append(
            f"Answers are for each pixel of what the network sees, {size}x{size}, and not of the image as it was."
        )
    if facts["target"] == "boxes" and facts["format"] != "safetensors":
        told.append(
            "Out come, the surest first, `boxes`, left, top, right and bottom in pixels of what the network sees and "
            "not of the image as it was, `scores`, and `labels`, positions in the classes"
            + (", and `masks`, a number from 0 to 1 for each pixel." if facts["masks"] else ".")
        )
    if facts["temperature"]:
        told.append(f"Probabilities are of logits divided by {facts['temperature']:.4g}, which was fitted on val.")
    return " ".join(told)


def _given(facts: Facts) -> str:
    kept, inside = facts["preprocess"], facts["format"] != "safetensors"
    where = "This is in the file" if inside else "Your program does this"
    if facts["target"] == "image":
        side = kept["image_size"]
        return (
            f"Random numbers, standard normal, `latents`, float32 [batch, {facts['latent']}]. Out come `values`, "
            f"float32 [batch, {kept['channels']}, {side}, {side}] from -1 to 1, and the same as files have them, "
            f"`images`, uint8 [batch, {side}, {side}, {kept['channels']}]."
            if inside
            else f"Random numbers, standard normal, {facts['latent']} for each image, whose values are from -1 to 1."
        )
    numbers = f"mean {kept['mean']} and deviation {kept['std']}"
    if facts["proof"]["inputs"] == "signals":
        channels, length = kept["channels"], kept["image_size"]
        return f"Signals, float32 [batch, {channels}, {length}]. {where}: {numbers} of each channel."
    scaled = int(kept["image_size"] / kept["crop_fraction"])
    fitted = (
        f"{CROPS[kept['crop']].format(size=kept['image_size'], scaled=scaled)} ({kept['interpolation']}, as Pillow "
        f"resizes); {numbers} of values in [0, 1]."
    )
    if facts["proof"]["inputs"] == "volumes":
        frames = kept["sides"][0]
        return (
            f"Volumes, whose frames are {_images(kept)}. {where}: of the frames the {frames} in the middle of as many "
            f"equal stretches of time are taken; of each {fitted}"
        )
    words = _images(kept)
    return (
        f"{words[0].upper()}{words[1:]}, upright, what is transparent laid on {kept['background']}. {where}: {fitted}"
    )


def _images(kept: Mapping[str, Any]) -> str:
    channels, depth = kept["channels"], kept["depth"]
    colours = {1: "grey images", 3: "RGB images"}.get(channels, f"images of {channels} channels")
    return f"{colours} of {depth} bits"


def limits(facts: Facts, metric: str) -> str:
    inputs = facts["proof"]["inputs"]
    return LIMITS[facts["target"]].format(count=len(facts["classes"]), inputs=inputs, metric=metric)


def code(facts: Facts) -> str:
    """That uses the file, in Python."""
    kind, target = facts["format"], facts["target"]
    results = RESULTS.get(target, "logits, probabilities")
    lines = [
        OPENED[kind],
        *([] if target == "image" else [CLASSES[kind]]),
        _reading(facts),
        CALLED[kind].format(results=results, name=_input(facts)),
        ANSWERS[target],
    ]
    body = "\n".join(lines)
    imports = ["import json"] if "json." in body else []
    imports.append(f"import numpy as np, {RUNTIMES[kind]}")
    imports += ["from PIL import Image"] if "Image." in body else []
    return "\n".join([*imports, "", body, ""])


def code_of_weights(facts: Facts) -> str:
    """That loads weights alone by timm, in Python; or a line of the shell."""
    model = facts["config"]["model"]
    name = model["name"].split(".", 1)[0]
    if not facts["timm"]:
        words = [f"model={name}", *([f"model.backbone={model['backbone']}"] if model["backbone"] else [])]
        words += [f"model.args.{key}={plain_json.text(value)}" for key, value in model["args"].items()]
        return shlex.join(["cnntrain", *words, "model.weights=model.safetensors"]) + " ...\n"
    given = {"num_classes": len(facts["classes"]), **facts["arguments"], "checkpoint_path": "model.safetensors"}
    words = [repr(name), *(f"{key}={value!r}" for key, value in given.items())]
    lines = ["import timm", ""]
    if name in registry.local_names():
        lines = [
            "import timm",
            "from cnntrain.models import registry",
            "",
            "registry.register()  # networks that timm lacks",
        ]
    elif name not in registry.names():
        lines = ["import timm", f"# and the module of yours that registers {name}", ""]
    return "\n".join([*lines, f"model = timm.create_model({', '.join(words)})", "model.eval()", ""])


def _input(facts: Facts) -> str:
    return "latents" if facts["target"] == "image" else facts["proof"]["inputs"]


def _reading(facts: Facts) -> str:
    """The lines that make an input of a file."""
    kept = facts["preprocess"]
    channels = kept["channels"]
    if facts["target"] == "image":
        return f"latents = np.random.default_rng(0).standard_normal((4, {facts['latent']})).astype(np.float32)"
    if facts["proof"]["inputs"] == "signals":
        return f'signals = np.load("signals.npy")  # float32 [batch, {channels}, {kept["image_size"]}]'
    if facts["proof"]["inputs"] == "volumes":
        return f'volumes = np.load("volume.npy")[None]  # uint8 [frames, height, width, {channels}]'
    if not is_picture(channels, kept["depth"]):
        return f'images = np.load("image.npy")[None]  # uint8 [height, width, {channels}]'
    mode = "L" if channels == 1 else "RGB"
    return (
        f'image = Image.open("image.png").convert("{mode}")\n'
        f"images = np.array(image).reshape(1, image.height, image.width, {channels})"
    )

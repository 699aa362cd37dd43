"""Every named network with random weights as an ONNX file, run by onnxruntime on images of odd sizes: does it answer as
torch does? A network that cannot be exported, or differs, is listed with the reason, and the exit code is 1.

    python scripts/export_all.py [name ...] [--largest=100]    # millions of parameters
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cnntrain.config.check import check, plain
from cnntrain.config.compose import compose_config
from cnntrain.config.schema import TrainConfig
from cnntrain.config.search_path import looking_in
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.export import bundle, inputs, onnx_file, program
from cnntrain.models import auxiliary
from cnntrain.models.pretrained import published_preprocessing
from cnntrain.study import catalog

CLASSES, CHANNELS, CLOSE = 10, 3, 1e-4
SIZES = ((1.0, 1.0), (0.6, 1.7), (2.3, 0.9))  # of images, in those that the network sees


def lively(network: nn.Module) -> int:
    """Give BatchNorms statistics and weights that are not those of a new network, and tell how many there are."""
    norms = [each for each in network.modules() if isinstance(each, _BatchNorm)]
    for each in norms:
        each.running_mean.normal_(0, 0.1)
        each.running_var.uniform_(0.7, 1.5)
        if each.affine:
            each.weight.data.uniform_(0.7, 1.3)
            each.bias.data.normal_(0, 0.1)
    return len(norms)


def tried(name: str, largest: float, folder: Path) -> dict[str, object]:
    """What came of a network."""
    torch.manual_seed(0)
    started = time.perf_counter()
    config = check(plain(compose_config("train", [f"model={name}"])), TrainConfig)
    network = config.model.create(CLASSES, CHANNELS, None, pretrained=False, small_stem=False)
    auxiliary.remove(network)
    millions = sum(each.numel() for each in network.parameters()) / 1e6
    if millions > largest:
        return {"model": name, "params": millions, "reason": f"more than {largest:g} million parameters"}
    norms = lively(network.eval())
    seen = Preprocess(CHANNELS, **published_preprocessing(network, CHANNELS), background="white")
    whole = program.Whole(inputs.of(seen), network, 1.0, config.task.probabilities).eval()
    exported = program.program(whole)
    folded = program.fold(exported)
    path = folder / "model.onnx"
    onnx_file.write(path, exported, whole.name, whole.sizes, whole.results)
    graph = bundle.graph_of(bundle.session(path), 1)
    largest_difference, relative, changed = 0.0, 0.0, 0
    for rows, columns in SIZES:
        size = round(seen.image_size * rows), round(seen.image_size * columns)
        images = np.random.default_rng(0).integers(0, 256, (2, *size, CHANNELS)).astype(np.uint8)
        theirs = torch.from_numpy(graph(images)[0]).double()
        with torch.inference_mode():
            ours = whole(torch.from_numpy(images))[0].double()
        largest_difference = max(largest_difference, float((ours.softmax(1) - theirs.softmax(1)).abs().max()))
        relative = max(relative, float((ours - theirs).abs().max() / ours.abs().max()))
        changed += int((ours.argmax(1) != theirs.argmax(1)).sum())
    found = {"model": name, "params": millions, "folded": f"{folded}/{norms}", "largest": largest_difference}
    found |= {"relative": relative}  # of logits, whose probabilities random weights may make all 0 and 1
    found |= {"changed": changed, "megabytes": path.stat().st_size / 1e6, "seconds": time.perf_counter() - started}
    if not largest_difference <= CLOSE or not relative <= CLOSE or changed:
        found["reason"] = "differs"
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--largest", type=float, default=100)
    typed = parser.parse_args()
    bad = 0
    with looking_in(None), tempfile.TemporaryDirectory() as folder:
        for name in typed.names or [each.name for each in catalog.entries()]:
            try:
                found = tried(name, typed.largest, Path(folder))
            except Exception as error:  # one of them must not keep the others from being tried
                found = {"model": name, "reason": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
            bad += "reason" in found
            print(json.dumps(found), flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())

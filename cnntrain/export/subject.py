"""A trained network as it is exported: computing on the CPU, with the images of its run's val."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cnntrain.build.data import load_data
from cnntrain.build.trained import Trained
from cnntrain.core.errors import InputError
from cnntrain.core.words import listed
from cnntrain.data.sets.dataset import Labelled
from cnntrain.data.sets.subset import known, val_limited

HALF = ("bfloat16", "float16")


def on_cpu(tree: Mapping[str, Any], not_computed: Collection[str] = HALF) -> Mapping[str, Any]:
    """A run's configuration for one process on the CPU.

    Args:
        not_computed: precisions in whose place it computes in float32.
    """
    trainer = {**tree["trainer"], "device": "cpu", "grad_accum": 1, "cuda_graphs": False}
    if trainer["precision"] in not_computed:
        trainer["precision"] = "float32"
    return {**tree, "trainer": trainer, "devices": 1}


def val_of(found: Trained, limit: int | None) -> Labelled:
    """At most `limit` images of its run's val, with labels that are positions in the network's classes.

    Raises:
        InputError: the run's data have classes now that it does not know.
    """
    data = val_limited(load_data(found.config.data), limit)
    images, unknown = known(data.labelled("val"), found.classes)
    if unknown:
        raise InputError(
            f"the run's data have classes now that it was not trained on: {listed(sorted(unknown))}; what is "
            "exported is judged on the data of its run"
        )
    return images

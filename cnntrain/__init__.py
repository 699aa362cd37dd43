"""cnntrain: train, transfer, evaluate, explain and compare convolutional networks from one configuration.

From Python the same as from the command line::

    result = cnntrain.train("model=lenet5", "data=digits")
    digits = cnntrain.load(result["run_dir"])
    digits.predict(["seven.png"])
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnntrain.core.version import __version__

if TYPE_CHECKING:
    from cnntrain.build.trained import Trained

__all__ = ["__version__", "load", "train"]


def train(*overrides: str, imports: Sequence[str] = (), config_dir: str | None = None) -> dict[str, Any]:
    """What ``cnntrain <overrides>`` does; returns what the run's ``result.json`` holds (``run_dir`` is its folder).

    Several processes (``devices=2``) start anew and import the caller's script: guard it with
    ``if __name__ == "__main__"``.

    Args:
        overrides: ``group=option`` and ``key=value``, as on the command line.
        imports: files or modules of your own, as ``--import`` names them.
        config_dir: a folder of YAML of your own, as ``--config-dir`` names it.

    Raises:
        UserError: the configuration or the input cannot be used.
        RunError: the run failed.
    """
    from cnntrain.cli import compose_and_start
    from cnntrain.core import plain_json
    from cnntrain.core.errors import RunError

    ended = compose_and_start("train", overrides, imports, config_dir)
    if ended.made is None:
        raise RunError(f"the run ended with code {ended.code}; its processes have said why")
    return plain_json.read((Path(ended.made) / "result.json").read_bytes(), dict[str, Any])


def load(run: str | Path, *, imports: Sequence[str] = (), device: Literal["auto", "cpu", "cuda"] = "auto") -> Trained:
    """A trained network with its classes and its preprocessing.

    Args:
        run: a run's folder, of which the best checkpoint is taken, a checkpoint's file, or an exported .onnx.
        imports: files or modules of your own that the run was made with.

    Raises:
        UserError: there is no such run, or it is damaged.
    """
    from cnntrain.build import trained
    from cnntrain.config.imports import imported
    from cnntrain.core.dist import pick_device
    from cnntrain.export.bundle import read_any

    path = Path(run)
    with imported(imports):
        return read_any(trained.best_of(path) if path.is_dir() else path, pick_device(device))

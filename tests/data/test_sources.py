"""What holds for every source: its YAML states every key, and its file imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from composing import composed

from cnntrain.config.groups import plugin_names
from cnntrain.core.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs" / "data"
NAMES = plugin_names("data")


@pytest.mark.parametrize("name", NAMES)
def test_the_yaml_states_every_key(name: str, make: Any) -> None:
    root = {"root": "somewhere"}
    of_root = dict.fromkeys(("imagefolder", "webdataset", "masks", "coco", "signals", "volumes", "frames"), root)
    needed = {**of_root, "huggingface": {"path": "owner/name"}}.get(name, {})
    source = make(name, **needed)
    values = composed([f"data={name}"])["data"]
    assert set(values) == {each.name for each in fields(source)}
    assert source.name == name
    assert (CONFIGS / f"{name}.yaml").read_text().startswith("#")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 2}, "data.channels must be 1 or 3, not 2, for data=digits: imagefolder and csv take others"),
        ({"image_size": 0}, "data.image_size=0 must be an integer at least 1 or null"),
        ({"crop": "centre"}, "data.crop=centre must be one of center, pad, squash or null; did you mean 'center'?"),
        ({"crop_fraction": 0.0}, "data.crop_fraction=0.0 must be a number above 0 and at most 1 or null"),
        ({"crop_fraction": 1.1}, "data.crop_fraction=1.1 must be a number above 0 and at most 1 or null"),
        (
            {"background": "pink"},
            "data.background=pink must be a list whose items are each an integer at least 0 and at most 255, or white "
            "or black",
        ),
        ({"background": [0, 0]}, "data.background must be white, black or [red, green, blue], not [0, 0]"),
        ({"split": [0.5, 0.6]}, "data.split must be fractions between 0 and 1 that sum to 1, not [0.5, 0.6]"),
    ],
)
def test_what_has_no_meaning_for_any_source_is_refused(make: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make("digits", **change)
    assert str(caught.value) == message


def test_the_files_of_the_sources_import_nothing_heavy() -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {NAMES}: importlib.import_module('cnntrain.data.' + name)\n"
        "heavy = {'torch', 'torchvision', 'sklearn', 'numpy', 'PIL', 'scipy'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=CONFIGS.parents[1]
    )
    assert done.returncode == 0, done.stderr

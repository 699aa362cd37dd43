"""What holds for every source: its YAML states every key, and its file imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys
import typing
from pathlib import Path

import pytest
from omegaconf import OmegaConf

CONFIGS = Path(__file__).parents[2] / "configs" / "data"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_the_yaml_states_every_key(name: str, make: typing.Callable[..., typing.Any]) -> None:
    needed = {"imagefolder": {"root": "somewhere"}}.get(name, {})
    source = make(name, **needed)
    values = OmegaConf.load(CONFIGS / f"{name}.yaml")
    assert set(values) == set(typing.get_type_hints(type(source)))
    assert source.name == name
    assert (CONFIGS / f"{name}.yaml").read_text().startswith("#")


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

"""Every configs/model/*.yaml names a model that can be built with its arguments."""

from pathlib import Path

import pytest
import timm
import torch
from omegaconf import OmegaConf
from torch import nn

from cnntrain.models import registry

FOLDER = Path(__file__).parents[2] / "configs" / "model"
FILES = sorted(path for path in FOLDER.glob("*.yaml") if path.stem != "timm")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_yaml_builds(path):
    registry.register()
    config = OmegaConf.to_container(OmegaConf.load(path))
    assert config.pop("defaults") == ["timm", "_self_"]
    assert set(config) <= set(OmegaConf.load(FOLDER / "timm.yaml"))
    assert config["name"] in registry.names()
    assert path.read_text().startswith("# "), "the first line names the paper and its year"
    if config["name"] in registry.local_names():  # test_zoo.py builds the others
        with torch.device("meta"):
            net = timm.create_model(config["name"], drop_rate=config.get("drop_rate"), **config.get("args", {}))
        if "drop_rate" in config:
            dropouts = {module.p for module in net.modules() if isinstance(module, nn.Dropout)}
            assert config["drop_rate"] in dropouts | {vars(net).get("drop_rate")}

"""Depth and width by factors, against the networks that timm itself has of these."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from slow import slow_if

from cnntrain.core.errors import ConfigError
from cnntrain.models.create import create

# width and depth of the paper's code
PUBLISHED = {1: (1.0, 1.1), 2: (1.1, 1.2), 3: (1.2, 1.4), 4: (1.4, 1.8), 5: (1.6, 2.2), 6: (1.8, 2.6), 7: (2.0, 3.1)}
PARAMETERS = {1: 7.8, 2: 9.2, 3: 12, 4: 19, 5: 30, 6: 43, 7: 66}  # millions, of the paper's table 2


def shapes(net: torch.nn.Module) -> list[tuple[str, Any]]:
    return [(name, value.shape) for name, value in net.state_dict().items()]


@pytest.mark.parametrize("phi", slow_if((2, 4, 5, 6), range(1, 8)))
def test_b0_scaled_is_each_of_b1_to_b7(phi: int) -> None:
    width, depth = PUBLISHED[phi]
    with torch.device("meta"):
        net = create("efficientnet_b0", 1000, 3, None, {}, False, None, (depth, width))
        timms = timm.create_model(f"efficientnet_b{phi}")
    assert shapes(net) == shapes(timms)
    count = sum(each.numel() for each in net.parameters())
    assert abs(count / 1e6 - PARAMETERS[phi]) < 0.55


@pytest.mark.parametrize(("name", "timms", "width", "depth"), [
    ("mobilenetv2_100", "mobilenetv2_050", 0.5, 1.0), ("mobilenetv3_large_100", "mobilenetv3_large_075", 0.75, 1.0),
    ("mixnet_m", "mixnet_xl", 1.6, 1.2), ("efficientnet_lite0", "efficientnet_lite2", 1.1, 1.2),
])  # fmt: skip
def test_other_families_are_scaled_as_timm_scales_them(name: str, timms: str, width: float, depth: float) -> None:
    with torch.device("meta"):
        assert shapes(create(name, 1000, 3, None, {}, False, None, (depth, width))) == shapes(timm.create_model(timms))


def test_what_timm_cannot_scale_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"resnet18 is not of EfficientNet's family"):
        create("resnet18", 10, 3, None, {}, False, None, (1.1, 1.0))
    with pytest.raises(ConfigError, match=r"depth of mnasnet_100; model.scale.width it does"):
        create("mnasnet_100", 10, 3, None, {}, False, None, (1.1, 1.0))

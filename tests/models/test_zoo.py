"""configs/model/*.yaml of timm's nets: each builds the net that was measured or that its paper gives figures of."""

from pathlib import Path

import pytest
import timm
import torch
from omegaconf import OmegaConf
from slow import slow_if
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cnntrain.models import registry

FOLDER = Path(__file__).parents[2] / "configs" / "model"
WIDTHS = {1: (64, 128, 256, 512), 4: (256, 512, 1024, 2048)}


def squeezed(base: int, counts: tuple[int, ...], expansion: int = 4) -> float:
    """Millions of parameters with squeeze-and-excitation: two fully connected layers a block, a sixteenth as wide
    within (but at least 8 in timm)."""
    for count, width in zip(counts, WIDTHS[expansion], strict=True):
        within = max(width // 16, 8)
        base += count * (2 * width * within + within + width)
    return round(base / 1e6, 3)


# millions of parameters, thousands of millions of multiply-adds, pixels a side
FIGURES = {
    "vgg11": (132.863, 7.609, 224),
    "vgg13": (133.048, 11.309, 224),
    "vgg16": (138.358, 15.470, 224),
    "vgg19": (143.667, 19.632, 224),
    "inception_v3": (23.835, 5.713, 299),
    "inception_v4": (42.680, 12.254, 299),
    "inception_resnet_v2": (55.843, 13.156, 299),
    "resnet18": (11.690, 1.814, 224),
    "resnet34": (21.798, 3.664, 224),
    "resnet50": (25.557, 4.089, 224),
    "resnet101": (44.549, 7.801, 224),
    "resnet152": (60.193, 11.514, 224),
    "resnet200": (64.674, 15.008, 224),
    "preactresnet18": (11.688, 1.814, 224),
    "preactresnet34": (21.796, 3.664, 224),
    "preactresnet50": (25.549, 4.089, 224),
    "preactresnet101": (44.541, 7.801, 224),
    "preactresnet152": (60.185, 11.514, 224),
    "preactresnet200": (64.666, 15.008, 224),
    "wide_resnet50_2": (68.883, 11.398, 224),
    "wide_resnet101_2": (126.887, 22.753, 224),
    "wrn68_3": (176.2, 30.5, 224),
    "resnext50_1x64d": (25.557, 4.089, 224),
    "resnext50_2x40d": (25.425, 4.125, 224),
    "resnext50_4x24d": (25.293, 4.160, 224),
    "resnext50_8x14d": (25.603, 4.267, 224),
    "resnext50_32x4d": (25.029, 4.231, 224),
    "resnext101_1x64d": (44.549, 7.801, 224),
    "resnext101_2x40d": (44.456, 7.844, 224),
    "resnext101_4x24d": (44.363, 7.886, 224),
    "resnext101_8x14d": (45.104, 8.077, 224),
    "resnext101_32x4d": (44.178, 7.970, 224),
    "resnext101_1x100d": (85.611, 15.273, 224),
    "resnext101_2x64d": (84.198, 15.123, 224),
    "resnext101_64x4d": (83.455, 15.460, 224),
    "senet154": (115.089, 20.688, 224),
    "seresnet18": (squeezed(11_689_512, (2, 2, 2, 2), 1), 1.814, 224),
    "seresnet34": (squeezed(21_797_672, (3, 4, 6, 3), 1), 3.664, 224),
    "seresnet50": (28.088, 4.092, 224),
    "seresnet101": (squeezed(44_549_160, (3, 4, 23, 3)), 7.806, 224),
    "seresnet152": (squeezed(60_192_808, (3, 8, 36, 3)), 11.521, 224),
    "seresnext50": (27.560, 4.233, 224),
    "seresnext101": (squeezed(44_177_704, (3, 4, 23, 3)), 7.975, 224),
    "se_resnext152": (121.601, 22.946, 224),
    "densenet121": (7.979, 2.834, 224),
    "densenet169": (14.149, 3.360, 224),
    "densenet201": (20.014, 4.291, 224),
    "densenet161": (28.681, 7.728, 224),
    "densenet264": (33.338, 5.752, 224),
    "mobilenetv1": (4.232, 0.5687, 224),
    "mobilenetv2": (3.505, 0.301, 224),
    "xception": (22.856, 8.357, 299),
    "nasnetalarge": (88.753, 23.783, 331),
    "efficientnet_b0": (5.289, 0.386, 224),
    "efficientnet_b1": (7.794, 0.687, 240),
    "efficientnet_b2": (9.110, 0.994, 260),
    "efficientnet_b3": (12.233, 1.827, 300),
    "efficientnet_b4": (19.342, 4.394, 380),
    "efficientnet_b5": (30.390, 10.266, 456),
    "efficientnet_b6": (43.041, 19.068, 528),
    "efficientnet_b7": (66.348, 37.746, 600),
    "efficientnet_lite0": (4.652, 0.3852, 224),
    "efficientnet_lite1": (5.417, 0.6002, 240),
    "efficientnet_lite2": (6.092, 0.8597, 260),
}

ONE_OF_EACH = {  # the others of a family are the slow tests
    "vgg16", "inception_v3", "inception_resnet_v2", "resnet50", "preactresnet18", "wide_resnet50_2", "resnext50_8x14d",
    "seresnet18", "seresnext50", "densenet121", "mobilenetv1", "mobilenetv2", "xception", "efficientnet_b1",
}  # fmt: skip


def config(stem: str) -> dict:
    return OmegaConf.to_container(OmegaConf.load(FOLDER / f"{stem}.yaml"))


@pytest.mark.parametrize("stem", slow_if(FIGURES.keys() - ONE_OF_EACH, FIGURES))
def test_parameters_and_macs(stem):
    model = config(stem)
    params, macs, side = FIGURES[stem]
    with torch.device("meta"):
        net = timm.create_model(model["name"], drop_rate=model.get("drop_rate"), **model.get("args", {})).eval()
        images = torch.empty(1, 3, side, side)
    if "drop_rate" in model:
        dropouts = {module.p for module in net.modules() if isinstance(module, nn.Dropout)}
        assert model["drop_rate"] in dropouts | {vars(net).get("drop_rate")}  # some of timm's nets have no module
    digits = 1 if stem == "wrn68_3" else 3
    assert round(sum(parameter.numel() for parameter in net.parameters()) / 1e6, digits) == params
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        assert net(images).shape == (1, 1000)
    assert counter.get_total_flops() / 2e9 == pytest.approx(macs, rel=0.005)


def test_every_net_of_timm_with_a_file_is_here():
    registry.register()
    files = {path.stem for path in FOLDER.glob("*.yaml")} - {"timm"}
    assert {stem for stem in files if config(stem)["name"] not in registry.local_names()} == set(FIGURES)


@pytest.mark.parametrize("stem", ["resnet18", "preactresnet18", "seresnet18", "resnext50_2x40d"])
def test_gamma_starts_at_one(stem):
    """Where timm's default starts the last norm of each block at 0."""
    net = timm.create_model(config(stem)["name"], **config(stem)["args"])
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all((norm.weight == 1).all() for norm in norms)


def test_mobilenet_has_plain_rectifiers():
    with torch.device("meta"):
        net = timm.create_model("mobilenetv1_100", **config("mobilenetv1")["args"])
    kinds = [type(module) for module in net.modules()]
    assert nn.ReLU in kinds
    assert nn.ReLU6 not in kinds
